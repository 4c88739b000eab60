//go:build unix && !linux

package launch

import (
	"errors"
	"syscall"
)

// ownGroup makes the process the leader of a group of its own. That the host is gone it learns from its standard input.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit is false: there is no portable way to wait for a process without reaping it.
func awaitExit(int) bool { return false }

// exists reports whether there is a process of that number.
func exists(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
