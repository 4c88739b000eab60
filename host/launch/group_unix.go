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

// isBusy reports whether a program could not be started because it is being written.
func isBusy(err error) bool { return errors.Is(err, syscall.ETXTBSY) }

// isExhausted says which means of the system has run out, if that is what err is.
func isExhausted(err error) (hint string, ok bool) {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "this process has too many open files: raise the limit (`ulimit -n`) or run fewer stages at once (--jobs)", true
	case errors.Is(err, syscall.ENFILE):
		return "the machine has too many open files: end other programs or raise fs.file-max", true
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "no space is left in the folder for sockets: free some, or set TMPDIR to a folder that has", true
	case errors.Is(err, syscall.EROFS):
		return "the folder for sockets cannot be written: set TMPDIR to one that can", true
	case errors.Is(err, syscall.EAGAIN):
		return "no further process may be started: end other programs, or raise the limit (`ulimit -u`, or pids.max of the container)", true
	case errors.Is(err, syscall.ENOMEM):
		return "the machine has no memory left for another process", true
	}
	return "", false
}

// ownSession makes a process the leader of a session of its own, out of reach of the terminal's signals.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// identity is what tells a file from any other on this machine.
func identity(info os.FileInfo) fileID {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{Device: uint64(s.Dev), Inode: uint64(s.Ino)}
}

// isOwn reports whether a file is this user's.
func isOwn(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}

// lockFile takes the lock on an open file, which ends with the process; false where another holds it.
func lockFile(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

// isExempt reports whether files' rights do not bind this user.
func isExempt() bool { return os.Geteuid() == 0 }

// ledGroup makes the process the leader of a group of its own, and has no signal tell it that the host is gone.
func ledGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
