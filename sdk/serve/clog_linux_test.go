package serve_test

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const killsAtEnd = true

// clog occupies a thread, and its place among those that may run, for ever.
func clog() {
	runtime.LockOSThread()
	for {
		_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}
