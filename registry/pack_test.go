package registry

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// What is packed is what was there: neither a package that was made there before, nor what a plugin leaves in its folder when it is started.
func TestPackTakesWhatWasThere(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, Prefix+"mine"), script("mine@1.0.0"), 0o755)
	write(t, filepath.Join(from, "data.tar.gz"), []byte("no archive"), 0o644)
	// As launch starts it: one that is of a package leaves no bytecode.
	describe := func(ctx context.Context, c Candidate) (component.Manifest, error) {
		if c.Package == nil {
			write(t, filepath.Join(filepath.Dir(c.Path), "__pycache__", "x.pyc"), []byte("x"), 0o644)
		}
		return describeScript(ctx, c)
	}
	first, m, err := Pack(t.Context(), from, PackOptions{Describe: describe, Out: filepath.Join(from, "one.tar.gz")})
	if err != nil || len(m.Files) != 2 {
		t.Fatalf("files %v, error %v", m.Files, err)
	}
	second, again, err := Pack(t.Context(), from, PackOptions{Describe: describe, Out: filepath.Join(from, "two.tar.gz")})
	if err != nil || again.Sum() != m.Sum() {
		t.Fatalf("files %v, error %v", again.Files, err)
	}
	one, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := os.ReadFile(second); err != nil || !slices.Equal(one, two) {
		t.Errorf("the same files make other bytes, error %v", err)
	}
	careless := func(ctx context.Context, c Candidate) (component.Manifest, error) {
		write(t, filepath.Join(filepath.Dir(c.Path), "log.txt"), []byte("x"), 0o644)
		return describeScript(ctx, c)
	}
	if _, _, err := Pack(t.Context(), from, PackOptions{Describe: careless, Out: filepath.Join(from, "three.tar.gz")}); err == nil || !strings.Contains(err.Error(), "changed its own folder") || !strings.Contains(err.Error(), "log.txt") {
		t.Errorf("a plugin that writes into its folder: error %v", err)
	}
}

// What is upgraded to may be there already, beside older versions: they go.
func TestUpgradeToWhatIsThere(t *testing.T) {
	l := Library{Dir: t.TempDir()}
	var last string
	for _, v := range []string{"1.0.0", "2.0.0"} {
		last = write(t, filepath.Join(t.TempDir(), "x"), script("mine@"+v), 0o755)
		if _, err := l.Install(t.Context(), last, options()); err != nil {
			t.Fatal(err)
		}
	}
	upgrade := options()
	upgrade.Upgrade = true
	got, err := l.Install(t.Context(), last, upgrade)
	if err != nil || !got.Already || len(got.Removed) != 1 || got.Removed[0].Version != "1.0.0" {
		t.Errorf("%+v, error %v", got, err)
	}
	if all, broken, err := l.List(); err != nil || len(broken) > 0 || len(all) != 1 || all[0].Version != "2.0.0" {
		t.Errorf("there are %+v, %v, error %v", all, broken, err)
	}
}

// What was installed before it was signed has the signature once the signed package is installed.
func TestSignedAfterwards(t *testing.T) {
	l := Library{Dir: t.TempDir()}
	source := write(t, filepath.Join(t.TempDir(), "x"), script("mine@1.0.0"), 0o755)
	if _, err := l.Install(t.Context(), source, options()); err != nil {
		t.Fatal(err)
	}
	private, _, err := NewKey("lab.example.org")
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := Pack(t.Context(), source, PackOptions{Describe: describeScript, Key: private, Out: filepath.Join(t.TempDir(), "signed.tar.gz")})
	if err != nil {
		t.Fatal(err)
	}
	for _, already := range []bool{false, true} {
		got, err := l.Install(t.Context(), signed, options())
		if err != nil || got.Already != already {
			t.Fatalf("%+v, error %v", got, err)
		}
		if err := got.Verify(Trust{}); err != nil || len(got.Signatures.Unknown) != 1 {
			t.Errorf("signatures %+v, error %v", got.Signatures, err)
		}
	}
}
