//go:build !linux

package launch

import "os"

// startOf is 0: when a process started cannot be known here.
func startOf(int) uint64 { return 0 }

// isAlive reports whether a process of that number is running.
func isAlive(pid int, _ uint64) bool { return exists(pid) }

// killMarked finds none: the environment of others cannot be read here.
func killMarked(string) int { return 0 }

// killGroupOf kills a group, and reports whether there was one.
func killGroupOf(g group) (left bool) {
	p, err := os.FindProcess(g.PID)
	if err != nil || !exists(g.PID) {
		return false
	}
	killGroup(p)
	return true
}

func groupOf(pid int) group { return group{PID: pid} }

// member has nothing to remember.
type member struct{}

// members are not known here, so a memory limit is not watched.
func members(int, string, map[int]member) []int { return nil }

func residentBytes(int) int64 { return 0 }

func shareBytes(int) (int64, bool) { return 0, false }

func killedForMemory() int64 { return 0 }

// changeTime is 0: the time of the content has to do.
func changeTime(os.FileInfo) int64 { return 0 }

// setName does nothing: the name is that of the file here.
func setName(string) {}
