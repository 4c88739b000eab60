//go:build !unix

package launch

import (
	"errors"
	"os"
	"syscall"
)

// ownGroup is empty: there are no process groups here.
func ownGroup() *syscall.SysProcAttr { return nil }

func ledGroup() *syscall.SysProcAttr { return nil }

func ownSession() *syscall.SysProcAttr { return nil }

func awaitExit(int) bool { return false }

// killGroup kills the process alone.
func killGroup(leader *os.Process) { _ = leader.Kill() }

func isBadFormat(error) bool { return false }

func isBusy(error) bool { return false }

func isExhausted(error) (string, bool) { return "", false }

// exists is true: nothing is taken for dead that may not be.
func exists(int) bool { return true }

func identity(os.FileInfo) fileID { return fileID{} }

func isOwn(os.FileInfo) bool { return false }

func lockFile(*os.File) (bool, error) { return false, errors.ErrUnsupported }

func isExempt() bool { return true }
