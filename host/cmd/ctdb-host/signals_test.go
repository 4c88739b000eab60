package main

import (
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignalsAreCounted(t *testing.T) {
	for _, c := range []struct {
		name        string
		at          []time.Duration
		ends, kills int32
	}{
		{"none", nil, 0, 0},
		{"one", []time.Duration{0}, 1, 0},
		{"two at once", []time.Duration{0, 0}, 1, 0},
		{"a burst", []time.Duration{0, 300 * time.Millisecond, 999 * time.Millisecond}, 1, 0},
		{"a second one", []time.Duration{0, time.Second}, 1, 1},
		{"a burst and one", []time.Duration{0, 0, time.Minute}, 1, 1},
		{"many", []time.Duration{0, time.Second, 2 * time.Second, time.Minute}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ends, kills atomic.Int32
				signals := make(chan os.Signal, len(c.at))
				done := make(chan struct{})
				go func() {
					defer close(done)
					heed(signals, func() { ends.Add(1) }, func() { kills.Add(1) })
				}()
				var now time.Duration
				for _, at := range c.at {
					time.Sleep(at - now)
					now = at
					signals <- os.Interrupt
				}
				synctest.Wait()
				close(signals)
				<-done
				if ends.Load() != c.ends || kills.Load() != c.kills {
					t.Errorf("ended %d times, killed %d; want %d, %d", ends.Load(), kills.Load(), c.ends, c.kills)
				}
			})
		})
	}
}
