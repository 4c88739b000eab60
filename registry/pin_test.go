package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Experiments that are pinned at the same time keep their pins, all of them.
func TestLockAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, LockFile)
	const writers = 8
	name := func(i int) string { return fmt.Sprintf("%d.yaml", i) }
	done := make(chan error, writers)
	for i := range writers {
		write(t, filepath.Join(dir, name(i)), nil, 0o644)
	}
	for i := range writers {
		go func() {
			_, err := WriteLock(path, map[string][]Pinned{name(i): {{"mine", fmt.Sprintf("%d.0.0", i), PinnedBuild{Sum: strings.Repeat("a", 64)}}}})
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	l, err := ReadLock(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range writers {
		if !l.Of(name(i)).Has("mine", fmt.Sprintf("%d.0.0", i)) {
			t.Errorf("%s has lost its pin: %+v", name(i), l.experiments)
		}
	}
	// Nothing is left beside the lock and the experiments.
	if got := tree(t, dir); len(got) != writers+1 {
		t.Errorf("there is %v", got)
	}
}

// What is to be done is said so that it can be pasted into a shell.
func TestLockErrorNamesTheFile(t *testing.T) {
	for experiment, want := range map[string]string{
		"a.yaml": "plugin lock of/a.yaml`", "my study.yaml": "plugin lock 'of/my study.yaml'`", "it's.yaml": `plugin lock 'of/it'\''s.yaml'` + "`", "a\x1b.yaml": `plugin lock "of/a\x1b.yaml"` + "`",
	} {
		e := &LockError{File: filepath.Join("of", LockFile), Experiment: experiment, Found: Pinned{Name: "mine", Version: "1.0.0"}}
		if !strings.Contains(e.Error(), want) {
			t.Errorf("%q: %v, want %s", experiment, e, want)
		}
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, LockFile)
	if l, err := ReadLock(path); l != nil || err != nil || l.Of("x.yaml") != nil {
		t.Fatalf("where there is none: %+v, %v", l, err)
	}
	for _, name := range []string{"one.yaml", "two.yaml", "new.yaml"} {
		write(t, filepath.Join(dir, name), nil, 0o644)
	}
	a, b, c := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	of := func(name, version, sum string, environment ...string) Pinned {
		p := Pinned{name, version, PinnedBuild{Sum: sum}}
		for i := 0; i < len(environment); i += 2 {
			if p.Environment == nil {
				p.Environment = map[string]string{}
			}
			p.Environment[environment[i]] = environment[i+1]
		}
		return p
	}
	pin := func(want int, experiment string, plugins ...Pinned) *Lock {
		t.Helper()
		changes, err := WriteLock(path, map[string][]Pinned{experiment: plugins})
		if err != nil || len(changes) != want {
			t.Errorf("changes %q, %d wanted, error %v", changes, want, err)
		}
		l, err := ReadLock(path)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := []Pinned{of("mine", "1.0.0", a), of("mine", "2.0.0", b), of("yours", "0.1.0", c)}
	l := pin(3, "one.yaml", first...).Of("one.yaml")
	for _, ok := range first {
		if err := l.Check(ok); err != nil || !l.Has(ok.Name, ok.Version) {
			t.Errorf("%+v: %v", ok, err)
		}
	}
	var wrong *LockError
	for _, bad := range []Pinned{of("mine", "1.0.0", b), of("mine", "1.1.0", a), of("other", "1.0.0", a)} {
		err := l.Check(bad)
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), bad.Sum) || bad.Name == "mine" && (!strings.Contains(err.Error(), "mine@1.0.0 with checksum "+a) || !strings.Contains(err.Error(), "mine@2.0.0 with checksum "+b)) {
			t.Errorf("%+v: error %v shows not both", bad, err)
		}
	}
	pin(0, "one.yaml", first...)
	// Another experiment is pinned to other versions, and to the same version with other contents: each keeps its own.
	both := pin(2, "two.yaml", of("mine", "2.1.0", c), of("yours", "0.1.0", a))
	one, two := both.Of("one.yaml"), both.Of("two.yaml")
	if one.Check(first[0]) != nil || one.Check(first[2]) != nil || two.Check(of("mine", "2.1.0", c)) != nil || two.Check(of("yours", "0.1.0", a)) != nil {
		t.Errorf("pinned are %+v", both)
	}
	if one.Check(of("mine", "2.1.0", c)) == nil || one.Check(of("yours", "0.1.0", a)) == nil || two.Check(first[0]) == nil || two.Has("mine", "1.0.0") {
		t.Errorf("an experiment takes the pins of another: %+v", both)
	}
	// One that has none yet may use what others do, and nothing else.
	if n := both.Of("new.yaml"); n.Check(first[0]) != nil || n.Check(of("mine", "2.1.0", c)) != nil || n.Check(of("mine", "3.0.0", c)) == nil {
		t.Errorf("not pinned: %+v", n)
	}
	// What is not used any more goes, and what is pinned for a file that is gone.
	l = pin(3, "one.yaml", of("mine", "2.1.0", c), of("yours", "0.1.0", c)).Of("one.yaml")
	if l.Has("mine", "1.0.0") || l.Has("mine", "2.0.0") || !l.Has("mine", "2.1.0") {
		t.Errorf("pinned are %+v", l)
	}
	if err := os.Remove(filepath.Join(dir, "two.yaml")); err != nil {
		t.Fatal(err)
	}
	// What it runs on is pinned with it, and what differs is shown of both.
	script := of("mine", "2.1.0", c, "python", "3.11.2", "numpy", "1.26.4", "scipy", "1.11.0")
	l = pin(3, "one.yaml", script).Of("one.yaml") // yours, two.yaml, and the environment
	if err := l.Check(script); err != nil {
		t.Error(err)
	}
	err := l.Check(of("mine", "2.1.0", c, "python", "3.11.2", "numpy", "2.0.1", "torch", "2.4.0"))
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "numpy 2.0.1, no scipy, torch 2.4.0, pinned is numpy 1.26.4, scipy 1.11.0, no torch") || strings.Contains(err.Error(), "python 3") {
		t.Errorf("error %v shows not both", err)
	}
	// What is known of other platforms stays while this platform's checksum does.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := strings.Replace(string(data), `"`+here()+`": {`, `"plan9/mips": {"sha256": "`+b+`"}, "`+here()+`": {`, 1)
	write(t, path, []byte(elsewhere), 0o644)
	pin(0, "one.yaml", script)
	if data, err = os.ReadFile(path); err != nil || !strings.Contains(string(data), "plan9/mips") {
		t.Errorf("the other platform's checksum is gone: %s, %v", data, err)
	}
	pin(1, "one.yaml", of("mine", "2.1.0", a, "python", "3.11.2", "numpy", "1.26.4", "scipy", "1.11.0"))
	if data, err = os.ReadFile(path); err != nil || strings.Contains(string(data), "plan9/mips") {
		t.Errorf("the other platform's checksum is still there: %s, %v", data, err)
	}
	one1 := func(pins string) string { return `{"format": 2, "experiments": {"a.yaml": [` + pins + `]}}` }
	for name, text := range map[string]string{
		"noise": "hello", "an earlier format": `{"format": 1}`, "a later format": `{"format": 3}`, "an unknown field": `{"format": 2, "x": 1}`, "no version": one1(`{"name": "a", "version": "1"}`),
		"twice":         one1(`{"name": "a", "version": "1.0.0"}, {"name": "a", "version": "1.0.0"}`),
		"no checksum":   one1(`{"name": "a", "version": "1.0.0", "platforms": {"linux/amd64": {"sha256": "abc"}}}`),
		"what escapes":  one1(`{"name": "\u001b[31m", "version": "1.0.0"}`),
		"an escape":     one1(`{"name": "a", "version": "1.0.0", "platforms": {"linux/amd64": {"sha256": "` + a + `", "environment": {"numpy": "\u001b[31m"}}}}`),
		"a path":        `{"format": 2, "experiments": {"../a.yaml": []}}`,
		"a large thing": strings.Repeat(" ", maxLock+1),
	} {
		write(t, path, []byte(text), 0o644)
		if _, err := ReadLock(path); err == nil || !strings.Contains(err.Error(), LockFile) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
