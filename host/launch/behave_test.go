package launch

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// hidden makes the test binary a plugin; the next argument says which.
const hidden = "plugin-under-test"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == hidden {
		behave(os.Args[2])
		return
	}
	if janitorUnderTest().Is(os.Args[1:]) {
		ServeJanitor(os.Stdin)
		return
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// janitorUnderTest makes the test binary a janitor.
func janitorUnderTest() *Janitor { return NewJanitor("janitor-under-test") }

// behave is a plugin, good or bad in the way that its name says.
func behave(how string) {
	untilHostGone := func() { _, _ = io.Copy(io.Discard, os.Stdin) }
	switch how {
	case "good":
		serve.Main(sample())
	case "boundary":
		serve.Main(boundary())
	case "noisy":
		fmt.Println("loading libraries ...")
		fmt.Println("1|no handshake")
		for _, line := range []string{`{"@level":1}`, `{"@level":"info","@message":2}`, `{"@message":"odd","@timestamp":3,"@level":[]}`, `{`, "\xff\xfe", strings.Repeat("x", 300000)} {
			fmt.Fprintln(os.Stderr, line)
		}
		serve.Main(sample())
	case "talkative":
		fmt.Println("loading libraries ...")
		serve.Main(sample())
	case "odd-line":
		fmt.Fprintln(os.Stderr, `{"@level":1}`)
		serve.Main(sample())
	case "dies":
		fmt.Fprintln(os.Stderr, "libfoo.so.3: cannot open shared object file")
		os.Exit(3)
	case "hoarder":
		hoard(context.Background())
	case "mute":
		untilHostGone()
	case "closes":
		os.Stdout.Close()
		untilHostGone()
	case "other-protocol":
		fmt.Println("1|99|unix|/nowhere|grpc")
		untilHostGone()
	case "stubborn":
		serve.Main(sample())
		untilHostGone()
	case "parent":
		raise()
		serve.Main(sample())
	case "parent-dies":
		raise()
		os.Exit(3)
	case "host":
		host(os.Args[3], os.Args[4:])
		untilHostGone()
	case "poor-host":
		poorHost(os.Args[3], os.Args[4])
	case "plain-host":
		plainHost(os.Args[3])
		untilHostGone()
	case "environment":
		for _, entry := range os.Environ() {
			if name, _, _ := strings.Cut(entry, "="); name != "CTDB_PLUGIN_TOKEN" {
				fmt.Fprintln(os.Stderr, entry)
			}
		}
		serve.Main(sample())
	}
}

// floodBytes is how much the sample plugin prints.
const floodBytes = 100 << 20 / slow

// hoard takes half a gibibyte of memory and waits.
func hoard(ctx context.Context) {
	kept := make([]byte, 512<<20)
	for i := 0; i < len(kept); i += 4096 {
		kept[i] = 1
	}
	<-ctx.Done()
	runtime.KeepAlive(kept)
}

// raise starts three children, one in the process group, one in a session of its own and one whose parent has ended, and prints their numbers.
func raise() {
	near, far := exec.Command("sleep", "1000"), exec.Command("setsid", "--wait", "sleep", "1000")
	for _, c := range []*exec.Cmd{near, far} {
		if err := c.Start(); err != nil {
			panic(err)
		}
	}
	orphan, err := exec.Command("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!").Output()
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stderr, "children=%d,%d,%s\n", near.Process.Pid, far.Process.Pid, strings.TrimSpace(string(orphan)))
}

// host starts a plugin and prints what was started: the plugin's number and folder, the janitor's number if there is to be one, and what the plugin logs.
func host(plugin string, options []string) {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	var j *Janitor
	if slices.Contains(options, "janitor") {
		j = janitorUnderTest()
		ctx = WithJanitor(ctx, j)
	}
	if i := slices.Index(options, "guard"); i >= 0 {
		if _, err := j.Guard(options[i+1]); err != nil {
			panic(err)
		}
	}
	p, err := Start(ctx, Spec{Path: path, Args: []string{hidden, plugin}, Log: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	if err != nil {
		panic(err)
	}
	fmt.Printf("plugin=%d folder=%s janitor=%d\n", p.PID(), p.folder.path, j.PID())
	if slices.Contains(options, "panic") {
		go panic("the host is out of cheese")
	}
}

// plainHost starts a plugin as go-plugin does by itself, and prints its number.
func plainHost(how string) {
	c := plainClient(how)
	if _, err := c.Client(); err != nil {
		fmt.Fprintln(os.Stderr, "plain host:", err)
		os.Exit(1)
	}
	fmt.Printf("plugin=%s address=%s\n", c.ID(), c.ReattachConfig().Addr)
}

// plainClient is go-plugin without the runner of this package.
func plainClient(how string) *plugin.Client {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(path, hidden, how)
	cmd.Env = append(os.Environ(), client.TokenEnv+"=token")
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: client.Handshake(), Plugins: client.PluginSet(), Cmd: cmd, AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions: client.DialOptions(), Logger: hclog.New(&hclog.LoggerOptions{Output: os.Stdout, Level: hclog.Debug}),
	})
}

type silentTask struct{ how string }

func (silentTask) Spec(context.Context) (task.Spec, error) { return task.Spec{}, nil }

// Trials are endless, for a task that streams.
func (s silentTask) Trials(ctx context.Context, _ task.TrialRequest) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for k := int64(0); s.how == "stream"; k++ {
			if ctx.Err() != nil || !yield(tensor.Block{Trials: []int64{k}, Arrays: tensor.Set{tensor.New64("inputs", 1, 100, 10)}}, nil) {
				return
			}
		}
	}
}

func (silentTask) Score(ctx context.Context, _ task.ScoreRequest, _ tensor.Blocks) (task.Score, error) {
	return task.Score{}, nil
}

// sample is a plugin whose task, when it is opened, logs and then does what it is told.
func sample() serve.Plugin {
	// go-plugin takes the variables away.
	stdout, stderr := os.Stdout, os.Stderr
	type params struct {
		How string `param:"how" default:"work" choices:"work,wait,panic,stream,flood,long-line,garbage,closed-stdout,hoard,hoard-in-child" doc:"what to do"`
	}
	open := func(ctx context.Context, p params, env component.Env) (task.Task, error) {
		env.Log.Warn("opened", "how", p.How)
		switch p.How {
		case "wait":
			<-ctx.Done()
			return nil, ctx.Err()
		case "panic":
			go panic("out of cheese")
			<-ctx.Done()
			return nil, ctx.Err()
		case "flood":
			line := []byte(strings.Repeat("x", 99) + "\n")
			for range floodBytes / len(line) {
				stderr.Write(line)
			}
		case "long-line":
			for range floodBytes / 1000 {
				stderr.Write([]byte(strings.Repeat("y", 1000)))
			}
			stderr.Write([]byte("\n"))
		case "garbage":
			junk := make([]byte, 1<<20)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(junk)
			stderr.Write(junk)
		case "closed-stdout":
			stdout.Close()
			os.Stdout.Close()
		case "hoard":
			hoard(ctx)
		case "hoard-in-child":
			path, err := os.Executable()
			if err != nil {
				return nil, err
			}
			child := exec.CommandContext(ctx, path, hidden, "hoarder")
			child.SysProcAttr = ownSession()
			return nil, child.Run()
		}
		return silentTask{p.How}, nil
	}
	info := component.Info{Name: component.Name{Kind: component.Task, Short: "silent"}, Version: "0.1.0", Doc: "nothing"}
	return serve.Plugin{Name: "sample", Version: "0.1.0", Doc: "for tests", Tasks: []task.Factory{task.New(info, nil, open)}}
}
