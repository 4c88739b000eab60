package serve_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// asPlugin makes the test binary a plugin.
const asPlugin = "CTDB_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		behave(os.Getenv(asPlugin))
		serve.Main(testPlugin(&probe{}))
		return
	}
	os.Exit(m.Run())
}

// process is a plugin in a process of its own.
type process struct {
	*client.Plugin
	*plugin.Client
	log *buffer
}

func startProcess(t testing.TB) *process {
	t.Helper()
	const token = "a secret of this test"
	p := &process{log: &buffer{}}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asPlugin+"=1", client.TokenEnv+"="+token, plugin.EnvUnixSocketDir+"="+t.TempDir())
	p.Client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  client.Handshake(),
		Plugins:          client.PluginSet(),
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions:  client.DialOptions(),
		Logger:           hclog.New(&hclog.LoggerOptions{Output: p.log, Level: hclog.Debug}),
	})
	t.Cleanup(p.Kill)
	protocol, err := p.Client.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.Dispense(client.PluginName)
	if err != nil {
		t.Fatal(err)
	}
	address := p.ReattachConfig().Addr.(*net.UnixAddr).Name
	p.Plugin = raw.(*client.Plugin).At("unix://"+address, token)
	return p
}

func TestProcesses(t *testing.T) {
	want, err := study(local())
	if err != nil {
		t.Fatal(err)
	}
	a, b := startProcess(t), startProcess(t)
	m, err := a.Describe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Components) != 5 || m.Name != "boundary-test" || m.Numerics["kernel"] != "go" {
		t.Errorf("the manifest is %+v", m)
	}
	got, err := study(remote(a.Plugin, b.Plugin))
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Error(firstDifference(got, want))
	}
	if text := a.log.String(); !strings.Contains(text, "component=task/point-mass") {
		t.Errorf("the component's message is not in the host's log:\n%s", text)
	}

	// With another token nothing is allowed.
	if _, err := a.At("", "guessed").Describe(context.Background()); !errors.Is(err, component.ErrUnavailable) {
		t.Errorf("a call with a wrong token gives %v", err)
	}
}

func TestDeadProcessIsUnavailable(t *testing.T) {
	p := startProcess(t)
	ctx := context.Background()
	w, err := p.OpenTask(ctx, name(component.Task, "wave"), param.Values{"failure": "hang"}, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := p.OpenTask(ctx, name(component.Task, "point-mass"), nil, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := loop.(task.ClosedLoop).Begin(ctx, task.EpisodeRequest{Split: task.All, Trials: []int64{0}})
	if err != nil {
		t.Fatal(err)
	}
	other := startProcess(t)
	spec, err := loop.Spec(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var last error
	var died time.Time
	for _, err := range w.Trials(ctx, task.TrialRequest{Split: task.Train}) {
		if last = err; err == nil {
			died = time.Now()
			process, err := os.FindProcess(p.ReattachConfig().Pid)
			if err == nil {
				err = process.Kill()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(last, component.ErrUnavailable) {
		t.Errorf("the stream of a dead process gives %v", last)
	}
	if d := time.Since(died); d > time.Second {
		t.Errorf("it took %v to notice", d)
	}
	for what, f := range map[string]func() error{
		"step":     func() error { _, err := e.Step(ctx, 0, tensor.New64("actions", 1, 2)); return err },
		"spec":     func() error { _, err := loop.Spec(ctx); return err },
		"describe": func() error { _, err := p.Describe(ctx); return err },
	} {
		if err := f(); !errors.Is(err, component.ErrUnavailable) {
			t.Errorf("%s of a dead process gives %v", what, err)
		}
	}
	m, err := other.OpenModel(ctx, name(component.Model, "linear"), nil, testEnv, targetOf(spec))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Train(ctx, trainOn(loop), nil); !errors.Is(err, component.ErrUnavailable) {
		t.Errorf("training on the task of a dead process gives %v", err)
	}
}

func TestMainRefusesToRunAlone(t *testing.T) {
	for _, tt := range []struct {
		name, env, want string
	}{
		{"by hand", "", "This binary is a plugin"},
		{"without a token", client.Handshake().MagicCookieKey + "=" + client.Handshake().MagicCookieValue, client.TokenEnv},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asPlugin+"=1", tt.env)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func TestLogHandler(t *testing.T) {
	var b buffer
	log := slog.New(serve.NewLogHandler(&b, "p")).With("component", "task/x").WithGroup("g").With("a", 1)
	log.Warn("hello", "x", 2.5, slog.Group("in", "b", true), "@level", 1)
	for _, want := range []string{`"@level":"warn"`, `"@message":"hello"`, `"@module":"p"`, `"component":"task/x"`, `"g.a":1`, `"g.in.b":true`, `"g.x":"2.5"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is not in %s", want, b.String())
		}
	}
}
