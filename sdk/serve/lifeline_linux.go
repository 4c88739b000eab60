package serve

import (
	"os"

	"golang.org/x/sys/unix"
)

// killAtEnd has the kernel send SIGKILL when the other end of a pipe is closed (fcntl(2), O_ASYNC with F_SETSIG): to this process's group if it leads one, else to the process.
// That something is written counts as the end too. Where the file is no pipe nothing happens.
func killAtEnd(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil {
			return
		}
		owner := os.Getpid()
		if unix.Getpgrp() == owner {
			owner = -owner
		}
		if _, err := unix.FcntlInt(fd, unix.F_SETOWN, owner); err != nil {
			return
		}
		if _, err := unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL)); err != nil {
			return
		}
		_, _ = unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_ASYNC)
	})
	// The host may have gone before that was set up, which the first read then finds.
}

// setName gives this process the name that ps and top show, which else is that of a descriptor where the host has started it through one.
func setName(name string) {
	// It is only for people to read.
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0)
}
