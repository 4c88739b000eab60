package launch

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// The tests whose names begin with TestPlain show what go-plugin does by itself, which the measures of this package are for.

func silent() component.Name { return component.Name{Kind: component.Task, Short: "silent"} }

// keepSockets has plugins of this package's plain hosts, which are killed, leave their sockets in a folder of the test.
func keepSockets(t *testing.T) {
	t.Helper()
	t.Setenv(plugin.EnvUnixSocketDir, t.TempDir())
}

func plainOutput(t *testing.T, how string) (string, error) {
	t.Helper()
	keepSockets(t)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, hidden, "plain-host", how).CombinedOutput()
	// Such a host leaves its plugin behind.
	for _, m := range regexp.MustCompile(`pid=([0-9]+)`).FindAllSubmatch(out, -1) {
		if pid, err := strconv.Atoi(string(m[1])); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return string(out), err
}

// It takes the first line of standard output for the handshake. Ours: TestNoiseIsLoggedAndPassedOver.
func TestPlainNoiseEndsTheStart(t *testing.T) {
	out, err := plainOutput(t, "talkative")
	if err == nil || !strings.Contains(out, "Unrecognized remote plugin message") {
		t.Errorf("it starts: %s", out)
	}
}

// A line on standard error panics the host. Ours: TestNoiseIsLoggedAndPassedOver.
func TestPlainOddLinePanicsTheHost(t *testing.T) {
	out, err := plainOutput(t, "odd-line")
	if err == nil || !strings.Contains(out, "panic: interface conversion") {
		t.Errorf("it does not panic: %v, %s", err, out)
	}
}

// stop stops a child of this process by a signal, and returns when it has: the signal alone takes effect some time later.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("it is not stopped: %v, %v", status, err)
	}
}

// The end of a process that is stopped by a signal is waited for without end. Ours: TestStopIsBounded.
func TestPlainKillBlocks(t *testing.T) {
	keepSockets(t)
	c := plainClient("good")
	if _, err := c.Client(); err != nil {
		t.Fatal(err)
	}
	pid := c.ReattachConfig().Pid
	stop(t, pid)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		c.Kill()
	}()
	// By its own account it waits for two seconds.
	limit := time.NewTimer(3 * time.Second)
	defer limit.Stop()
	select {
	case <-finished:
		t.Error("it does not block: this is no hole")
	case <-limit.C:
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	<-finished
}

// It hands on the whole environment. Ours: TestSecretsAreNotHandedOn.
func TestPlainHandsOnSecrets(t *testing.T) {
	keepSockets(t)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, hidden, "plain-host", "environment")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told, pid := false, 0
	for lines := bufio.NewScanner(out); (!told || pid == 0) && lines.Scan(); {
		told = told || strings.Contains(lines.Text(), "AWS_SECRET_ACCESS_KEY=hunter2")
		if rest, ok := strings.CutPrefix(lines.Text(), "plugin="); ok {
			if _, err := fmt.Sscan(rest, &pid); err != nil {
				t.Error(err)
			}
		}
	}
	if !told {
		t.Error("the plugin was not told: this is no hole")
	}
	// This host leaves its plugin behind.
	_ = syscall.Kill(pid, syscall.SIGKILL)
	stdin.Close()
	_ = cmd.Wait()
}

func TestSecretsAreNotHandedOn(t *testing.T) {
	secrets := []string{
		"AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "GH_TOKEN", "OPENAI_API_KEY", "HF_TOKEN", "WANDB_API_KEY", "SSH_AUTH_SOCK", "DATABASE_URL",
		"PGPASSWORD", "NETRC", "KUBECONFIG", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET", "npm_config__authToken", "LD_PRELOAD", "DBUS_SESSION_BUS_ADDRESS",
	}
	for _, name := range secrets {
		t.Setenv(name, "hunter2")
	}
	t.Setenv("CTDB_SOMETHING", "1")
	s, log := spec(t, "environment")
	s.Env = []string{"HF_TOKEN"}
	p := start(t, s)
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(log.lines)
	var told []string
	for line := range log.lines {
		for _, name := range secrets {
			if strings.Contains(line, name+"=") {
				told = append(told, name)
			}
		}
		if strings.Contains(line, "CTDB_SOMETHING=1") {
			told = append(told, "CTDB_SOMETHING")
		}
	}
	slices.Sort(told)
	if want := []string{"CTDB_SOMETHING", "HF_TOKEN"}; !slices.Equal(told, want) {
		t.Errorf("told are %v, want %v: the allow-list's, and what was asked for", told, want)
	}
}

// TestDeathInMidStream kills a plugin that is sending. It is told of at once, with what to do.
func TestDeathInMidStream(t *testing.T) {
	s, log := spec(t, "good")
	p := start(t, s)
	instance, err := p.Client.OpenTask(t.Context(), silent(), param.Values{"how": "stream"}, component.Env{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	log.await(t, "opened")
	var last error
	var killed time.Time
	n := 0
	for _, err := range instance.Trials(t.Context(), task.TrialRequest{Split: task.Train}) {
		if last = err; err != nil {
			break
		}
		if n++; n == 100 {
			killed = time.Now()
			_ = syscall.Kill(p.PID(), syscall.SIGKILL)
		}
	}
	err = p.Wrap(last)
	if took := time.Since(killed); took > time.Second {
		t.Errorf("it took %v to tell", took)
	}
	text := err.Error()
	for _, want := range []string{"plugin sample", "died: signal: killed", "goes on from the last checkpoint", "its last lines:\n  opened"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}

// A process that closes its standard output after the handshake works on.
func TestClosedStandardOutput(t *testing.T) {
	s, _ := spec(t, "good")
	p := start(t, s)
	if _, err := p.Client.OpenTask(t.Context(), silent(), param.Values{"how": "closed-stdout"}, component.Env{Threads: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Client.Describe(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Of two plugins that share nothing but a host, each has a folder of its own that only its user may enter, and sockets whose paths fit.
func TestSocketsArePrivate(t *testing.T) {
	s, _ := spec(t, "good")
	a, b := start(t, s), start(t, s)
	for _, p := range []*Process{a, b} {
		sockets, err := filepath.Glob(filepath.Join(p.folder.path, "*", "*"))
		if err != nil || len(sockets) != 1 {
			t.Errorf("sockets are %v, %v", sockets, err)
		}
		if info, err := os.Stat(p.folder.path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("folder is %v, %v", info, err)
		}
	}
	if a.folder.path == b.folder.path {
		t.Error("they share a folder")
	}
	if worst := maxSocketBase + len("/ctdb-4194304-zzzzzzz-4294967295") + len("/plugin-dir4294967295") + len("/plugin4294967295"); worst > 107 {
		t.Errorf("a socket's path may take %d bytes, 107 are allowed", worst)
	}
}
