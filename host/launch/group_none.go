//go:build !unix

package launch

import (
	"os"
	"syscall"
)

// ownGroup is empty: there are no process groups here.
func ownGroup() *syscall.SysProcAttr { return nil }

func awaitExit(int) bool { return false }

// killGroup kills the process alone.
func killGroup(leader *os.Process) { _ = leader.Kill() }

func isBadFormat(error) bool { return false }
