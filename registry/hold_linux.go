package registry

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// users are the processes that hold a shared lock on a file, from /proc/locks; those that are not seen from here are left out.
func users(path string) []string {
	var file syscall.Stat_t
	table, err := os.ReadFile("/proc/locks")
	if err != nil || syscall.Stat(path, &file) != nil {
		return nil
	}
	var out []string
	// e.g. "3: FLOCK  ADVISORY  READ 4711 fe:01:262147 0 EOF". Of the device it says the one below an overlay, so the inode alone is compared: it is for a message.
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "READ" || !strings.HasSuffix(f[5], ":"+strconv.FormatUint(file.Ino, 10)) || f[4] == "0" {
			continue
		}
		who := "process " + f[4]
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%s/cmdline", f[4])); err == nil {
			if line := strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " "); line != "" {
				who += " (" + shown(line[:min(len(line), 200)]) + ")"
			}
		}
		if !slices.Contains(out, who) {
			out = append(out, who)
		}
	}
	return out
}
