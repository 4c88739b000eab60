package main

import (
	"os"
	"time"
)

// burst is the time in which signals count as one: `timeout -s INT` sends its signal to the process and then to the process's group.
const burst = time.Second

// heed ends the program in good order at the first signal, and kills it at a second one, until signals is closed.
func heed(signals <-chan os.Signal, end, kill func()) {
	var first time.Time
	for range signals {
		switch {
		case first.IsZero():
			first = time.Now()
			end()
		case time.Since(first) >= burst:
			kill()
			return
		}
	}
}
