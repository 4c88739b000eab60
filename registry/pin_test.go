package registry

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), LockFile)
	if l, err := ReadLock(path); l != nil || err != nil {
		t.Fatalf("where there is none: %+v, %v", l, err)
	}
	a, b, c := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	pin := func(want int, plugins ...Pinned) *Lock {
		t.Helper()
		was, err := ReadLock(path)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := was.Write(path, plugins)
		if err != nil || len(changes) != want {
			t.Errorf("changes %q, %d wanted, error %v", changes, want, err)
		}
		l, err := ReadLock(path)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := pin(3, Pinned{"mine", "1.0.0", a}, Pinned{"mine", "2.0.0", b}, Pinned{"yours", "0.1.0", c})
	for _, ok := range []Pinned{{"mine", "1.0.0", a}, {"mine", "2.0.0", b}, {"yours", "0.1.0", c}} {
		if err := l.Check(ok.Name, ok.Version, ok.Sum); err != nil || !l.Pins(ok.Name, ok.Version) {
			t.Errorf("%+v: %v", ok, err)
		}
	}
	for _, bad := range []Pinned{{"mine", "1.0.0", b}, {"mine", "1.1.0", a}, {"other", "1.0.0", a}} {
		err := l.Check(bad.Name, bad.Version, bad.Sum)
		var wrong *LockError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), bad.Sum) || bad.Name == "mine" && (!strings.Contains(err.Error(), "mine@1.0.0 with checksum "+a) || !strings.Contains(err.Error(), "mine@2.0.0 with checksum "+b)) {
			t.Errorf("%+v: error %v shows not both", bad, err)
		}
	}
	pin(0, Pinned{"mine", "1.0.0", a}, Pinned{"mine", "2.0.0", b})
	// Another version: what is not named of it goes, what others have stays.
	l = pin(3, Pinned{"mine", "2.1.0", c})
	if l.Pins("mine", "1.0.0") || l.Pins("mine", "2.0.0") || !l.Pins("mine", "2.1.0") || !l.Pins("yours", "0.1.0") {
		t.Errorf("pinned are %+v", l.pins)
	}
	// What is known of other platforms stays while this platform's checksum does.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := strings.Replace(string(data), `"`+runtime.GOOS+"/"+runtime.GOARCH+`": "`+c, `"plan9/mips": "`+b+`", "`+runtime.GOOS+"/"+runtime.GOARCH+`": "`+c, 1)
	write(t, path, []byte(elsewhere), 0o644)
	pin(0, Pinned{"mine", "2.1.0", c})
	if data, err = os.ReadFile(path); err != nil || !strings.Contains(string(data), "plan9/mips") {
		t.Errorf("the other platform's checksum is gone: %s, %v", data, err)
	}
	pin(1, Pinned{"mine", "2.1.0", a})
	if data, err = os.ReadFile(path); err != nil || strings.Contains(string(data), "plan9/mips") {
		t.Errorf("the other platform's checksum is still there: %s, %v", data, err)
	}
	for name, text := range map[string]string{
		"noise": "hello", "a later format": `{"format": 2}`, "an unknown field": `{"format": 1, "x": 1}`, "no version": `{"format": 1, "plugins": [{"name": "a", "version": "1"}]}`,
		"twice":         `{"format": 1, "plugins": [{"name": "a", "version": "1.0.0"}, {"name": "a", "version": "1.0.0"}]}`,
		"no checksum":   `{"format": 1, "plugins": [{"name": "a", "version": "1.0.0", "sha256": {"linux/amd64": "abc"}}]}`,
		"what escapes":  `{"format": 1, "plugins": [{"name": "\u001b[31m", "version": "1.0.0"}]}`,
		"a large thing": strings.Repeat(" ", maxLock+1),
	} {
		write(t, path, []byte(text), 0o644)
		if _, err := ReadLock(path); err == nil || !strings.Contains(err.Error(), LockFile) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
