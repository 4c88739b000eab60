package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fence is a block of code: its language, and the code.
var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// named is a block's first line where that names a file.
var named = regexp.MustCompile(`^(?://|#) ([a-z_]+\.[a-z]+)\n`)

// TestReadmeOfTheSDK does what "Write a plugin in 15 minutes" says, block by block: commands are run, files are written.
func TestReadmeOfTheSDK(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../sdk/README.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(out))
	w.env = append(w.env, "GOCACHE="+caches[0], "GOMODCACHE="+caches[1], "GOPATH="+caches[2], "GOPROXY=off", "BUILDFLAGS=")
	dir, printed := "", ""
	blocks := fence.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 6 {
		t.Fatalf("only %d blocks of code", len(blocks))
	}
	for _, b := range blocks {
		language, code := b[1], b[2]
		if language != "sh" {
			name := named.FindStringSubmatch(code)
			if name == nil || dir == "" {
				t.Fatalf("a block of %s names no file, or comes before there is a folder:\n%s", language, code)
			}
			if err := os.WriteFile(filepath.Join(w.dir, dir, name[1]), []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		cmd, p := w.shell("set -e\n" + "cd ./" + dir + "\n" + code)
		if status := w.finish(cmd, p); status != 0 {
			t.Fatalf("exit status %d of\n%s\n%s", status, code, p)
		}
		printed += p.String()
		if _, to, ok := strings.Cut(code, "\ncd "); ok {
			dir = strings.TrimSpace(to)
		}
	}
	for _, want := range []string{"0 failed", "dimension_gap", "rate_r2"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is not in what was printed:\n%s", want, printed)
		}
	}
}
