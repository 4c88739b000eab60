package registry

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSignatures(t *testing.T) {
	private, public, err := NewKey("lab.example.org")
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := NewKey("other")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	source := write(t, filepath.Join(t.TempDir(), "x"), script("mine@1.0.0"), 0o755)
	pack := func(name, key string) string {
		path, m, err := Pack(t.Context(), source, PackOptions{Describe: describeScript, Key: key, Out: filepath.Join(out, name)})
		if err != nil || m.Title() != "mine@1.0.0" {
			t.Fatal(m, err)
		}
		return path
	}
	signed, again, unsigned := pack("signed.tar.gz", private), pack("again.tar.gz", private), pack("unsigned.tar.gz", "")
	a, errA := os.ReadFile(signed)
	b, errB := os.ReadFile(again)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Error("two packages of the same differ", errA, errB)
	}
	trust := func(lines ...string) Trust {
		tr, err := ReadTrust(write(t, filepath.Join(t.TempDir(), "trusted-keys"), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	lenient := trust(public)
	lenient.Unsigned = true
	// The signature of one package beside the manifest of another, and one that was bent.
	folder := func(change func(signature string) string, version string) string {
		dir := t.TempDir()
		unpacked := t.TempDir()
		p, err := stager{describe: describeScript}.stage(t.Context(), signed, unpacked)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := os.ReadFile(filepath.Join(p.dir, SignatureFile))
		if err != nil {
			t.Fatal(err)
		}
		m := p.manifest
		m.Version = version
		exe := script("mine@" + version)
		m.Files = map[string]string{m.Executable: sum(exe)}
		data, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, ManifestFile), data, 0o644)
		write(t, filepath.Join(dir, m.Executable), exe, 0o755)
		write(t, filepath.Join(dir, SignatureFile), []byte(change(string(signature))), 0o644)
		return dir
	}
	same := func(s string) string { return s }
	for _, c := range []struct {
		name   string
		source string
		trust  Trust
		want   string
		by     []string
	}{
		{"no keys, signed", signed, Trust{}, "", nil},
		{"no keys, not signed", unsigned, Trust{}, "", nil},
		{"signed", signed, trust("# ours", "", other, public, public), "", []string{"lab.example.org"}},
		{"not signed", unsigned, trust(public), "it is not signed", nil},
		{"an executable", source, trust(public), "it is not signed", nil},
		{"not signed, all the same", unsigned, lenient, "", nil},
		{"by somebody else", signed, trust(other), "it is signed by lab.example.org+", nil},
		{"another's signature", folder(same, "1.0.1"), trust(public), "its signature is of another package", nil},
		{"another's signature, all the same", folder(same, "1.0.1"), lenient, "its signature is of another package", nil},
		{"bent", folder(func(s string) string { return strings.Replace(s, "mine 1.0.0", "mine 1.0.1", 1) }, "1.0.0"), trust(public), "its signature by lab.example.org is wrong", nil},
		{"bent, all the same", folder(func(s string) string { return strings.Replace(s, "mine 1.0.0", "mine 1.0.1", 1) }, "1.0.0"), lenient, "its signature by lab.example.org is wrong", nil},
		{"noise", folder(func(string) string { return "noise" }, "1.0.0"), Trust{}, "is no signature", nil},
	} {
		dir := t.TempDir()
		o := options()
		o.Trust = c.trust
		got, err := Library{Dir: dir}.Install(t.Context(), c.source, o)
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || len(tree(t, dir)) != 0):
			t.Errorf("%s: error %v, want %q; there is %v", c.name, err, c.want, tree(t, dir))
		case c.want == "" && (err != nil || !slices.Equal(got.Signatures.By, c.by)):
			t.Errorf("%s: %+v, error %v", c.name, got, err)
		case c.want == "":
			if err := got.Verify(c.trust); err != nil {
				t.Errorf("%s: verified: %v", c.name, err)
			}
			if err := got.Verify(trust(other)); err == nil {
				t.Errorf("%s: verified with another's key", c.name)
			}
		}
	}
	for name, text := range map[string]string{"no key": "hello\n", "a private key": private + "\n", "cut": public[:len(public)-3] + "\n"} {
		if _, err := ReadTrust(write(t, filepath.Join(t.TempDir(), "keys"), []byte(text), 0o644)); err == nil || !strings.Contains(err.Error(), "keys:1:") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, text := range []string{"", "# none yet\n\n"} {
		if _, err := ReadTrust(write(t, filepath.Join(t.TempDir(), "keys"), []byte(text), 0o644)); err == nil || !strings.Contains(err.Error(), "holds no key") {
			t.Errorf("a file without keys: error %v", err)
		}
	}
	if _, _, err := Pack(t.Context(), source, PackOptions{Describe: describeScript, Key: public, Out: filepath.Join(out, "x")}); err == nil || !strings.Contains(err.Error(), "no private key") {
		t.Errorf("signing with a public key: %v", err)
	}
	if _, _, err := NewKey("a b"); err == nil {
		t.Error("a key with a space in its name")
	}
}
