//go:build unix

package serve_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/client"
)

// behave does what its name says before the test binary serves: "parent" starts a child and prints its number, "clogged" occupies all threads at SIGUSR1, with what the scheduler
// does not know to be waiting, as a long computation in C is.
func behave(how string) {
	switch how {
	case "parent":
		child := exec.Command("sleep", "1000")
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintln(os.Stderr, "child", child.Process.Pid)
	case "clogged":
		now := make(chan os.Signal, 1)
		signal.Notify(now, syscall.SIGUSR1)
		go func() {
			<-now
			for range runtime.GOMAXPROCS(0) {
				go clog()
			}
		}()
	}
}

// guest is a plugin in a process of its own, as a host that has measures of its own would not start it: nothing but its standard input ties it to this process.
type guest struct {
	*client.Plugin
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bufio.Reader
}

func startGuest(t *testing.T, how string, env ...string) *guest {
	t.Helper()
	h := client.Handshake()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asPlugin+"="+how, client.TokenEnv+"=token", h.MagicCookieKey+"="+h.MagicCookieValue, "PLUGIN_UNIX_SOCKET_DIR="+t.TempDir(), "PLUGIN_PROTOCOL_VERSIONS=1")
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	conn, err := client.Dial("unix://" + strings.Split(line, "|")[3])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &guest{Plugin: client.New(conn, "", "token"), cmd: cmd, stdin: stdin, stderr: bufio.NewReader(stderr)}
}

// ended waits for the process's end, and reports whether it was killed in time.
func (g *guest) ended(t *testing.T) bool {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.cmd.Wait()
	}()
	limit := time.NewTimer(2 * time.Second)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		return false
	}
	status, ok := g.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == syscall.SIGKILL
}

const withLifeline = client.LifelineEnv + "=" + client.LifelineStdin

// TestPluginOutlivesAPlainHost shows the hole: under a host that says nothing of standard input, as plain go-plugin, the end of it is not noticed.
func TestPluginOutlivesAPlainHost(t *testing.T) {
	g := startGuest(t, "plain")
	g.stdin.Close()
	for range 3 {
		if _, err := g.Describe(t.Context()); err != nil {
			t.Fatalf("the plugin does not live on: %v", err)
		}
	}
}

func TestPluginEndsWithItsStandardInput(t *testing.T) {
	g := startGuest(t, "idle", withLifeline)
	if _, err := g.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.stdin.Close()
	if !g.ended(t) {
		t.Error("the plugin lives on")
	}
}

func TestChildrenEndWithStandardInput(t *testing.T) {
	g := startGuest(t, "parent", withLifeline)
	var child int
	if _, err := fmt.Fscanf(g.stderr, "child %d\n", &child); err != nil {
		t.Fatal(err)
	}
	g.stdin.Close()
	if _, err := io.Copy(io.Discard, g.stderr); err != nil {
		t.Error(err)
	}
	// The child held standard error open, so it has ended too.
	if !g.ended(t) {
		t.Error("the plugin lives on")
	}
}

// TestCloggedPluginEnds closes the standard input of a plugin none of whose goroutines can run.
func TestCloggedPluginEnds(t *testing.T) {
	if !killsAtEnd {
		// There a goroutine has to do, which this state of affairs holds up.
		t.Logf("%s has no means for it", runtime.GOOS)
		return
	}
	g := startGuest(t, "clogged", withLifeline)
	if _, err := g.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	// It is clogged when it no longer answers.
	for clogged, limit := false, time.Now().Add(20*time.Second); !clogged; {
		if time.Now().After(limit) {
			t.Fatal("the plugin answers all the time")
		}
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := g.Describe(short)
		clogged = err != nil
		cancel()
	}
	g.stdin.Close()
	if !g.ended(t) {
		t.Error("the plugin lives on")
	}
}
