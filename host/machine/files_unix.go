//go:build unix

package machine

import "golang.org/x/sys/unix"

// OpenFiles is how many files a process may have open, now and at most; 0 where it is not known.
func OpenFiles() (now, most uint64) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0
	}
	return uint64(r.Cur), uint64(r.Max)
}
