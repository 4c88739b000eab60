//go:build unix

package registry

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nobody writes into the pipe, and nobody waits for it.
func TestInstallOfAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := Library{Dir: t.TempDir()}.Install(t.Context(), pipe, options())
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "neither a folder") {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
}
