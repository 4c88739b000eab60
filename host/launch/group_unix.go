//go:build unix

package launch

import (
	"errors"
	"os"
	"syscall"
)

// killGroup kills every process of the group that leader leads. That there is none is no failure.
func killGroup(leader *os.Process) { _ = syscall.Kill(-leader.Pid, syscall.SIGKILL) }

func isBadFormat(err error) bool { return errors.Is(err, syscall.ENOEXEC) }
