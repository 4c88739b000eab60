package launch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A host that is killed leaves no plugin behind.
func TestPluginEndsWithItsHost(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(path, hidden, "host")
	host.Stderr = os.Stderr
	if _, err := host.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var plugin int
	var folder string
	_, scanErr := fmt.Fscan(out, &plugin, &folder)
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// That it was killed is no news.
	_ = host.Wait()
	if scanErr != nil {
		t.Fatal(scanErr)
	}
	// The killed host could not remove its folder.
	defer os.RemoveAll(folder)
	if !gone(t, plugin) {
		t.Errorf("plugin %d is alive", plugin)
	}
}

func TestChildrenEndWithThePlugin(t *testing.T) {
	s, log := spec(t, "parent")
	p := start(t, s)
	_, number, _ := strings.Cut(log.await(t, "child="), "child=")
	number, _, _ = strings.Cut(number, `"`)
	number, _, _ = strings.Cut(number, " ")
	child, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if !gone(t, child) {
		t.Error("the child is alive")
	}
}

// gone waits until a process has ended, be it reaped or not, at most two seconds.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	limit := time.Now().Add(2 * time.Second)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(time.Until(limit), 0).Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}
