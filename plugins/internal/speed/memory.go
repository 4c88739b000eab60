package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memory is the most that a process has resident which takes three steps of a row, in MB; 0 where the system does not tell.
func memory(ctx context.Context, o options, r row) (float64, error) {
	cmd := exec.CommandContext(ctx, o.self, "-threads", strconv.Itoa(o.threads), "-memory", r.name)
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	mb, err := strconv.ParseFloat(strings.TrimSpace(string(said)), 64)
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	return mb, nil
}

// printMemory is what that process does.
func printMemory(ctx context.Context, rows []row, name string, out io.Writer) error {
	i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
	if i < 0 {
		return fmt.Errorf("-memory %s: there is no such row", name)
	}
	mine, err := rows[i].open()
	if err != nil {
		return err
	}
	_, err = mine.steps(ctx, rows[i].threads, 3, time.Nanosecond)
	if err := errors.Join(err, mine.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%.1f\n", resident())
	return err
}

// resident is the most that this process ever had resident, in MB, where the system is Linux, else 0. What getrusage tells includes the process that started it.
func resident() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}
