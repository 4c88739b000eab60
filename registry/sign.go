package registry

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/adrg/xdg"
	"golang.org/x/mod/sumdb/note"
)

// TrustedKeysFile is the file with the keys that a user trusts, one on each line: ctdb/trusted-keys in the user's configuration folder.
func TrustedKeysFile() string { return filepath.Join(xdg.ConfigHome, "ctdb", "trusted-keys") }

// maxSignature bounds a signature file and a file of keys.
const maxSignature = 1 << 20

// Trust is whose packages are taken. The zero Trust takes all and verifies no signature.
type Trust struct {
	// File is where the keys are from.
	File string
	keys []note.Verifier
	// Unsigned takes packages without a signature all the same; one that is wrong is always refused.
	Unsigned bool
}

// Signatures are those on a package.
type Signatures struct {
	// By are the names of the trusted keys that have signed it.
	By []string
	// Unknown are the names of keys that are not trusted: anybody can write any name there.
	Unknown []string
}

// ReadTrust reads a file of keys, one a line as [NewKey] makes them; empty lines and those that begin with # are passed over. Where there is no file no signature is asked for; one without
// keys is an error: whoever has made it does not want packages of anybody.
func ReadTrust(path string) (Trust, error) {
	t := Trust{File: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("registry: trusted keys: %w", err)
	}
	defer f.Close()
	seen := map[string]bool{}
	s := bufio.NewScanner(io.LimitReader(f, maxSignature))
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") || seen[line] {
			continue
		}
		seen[line] = true
		v, err := note.NewVerifier(line)
		if err != nil {
			return t, fmt.Errorf("registry: %s:%d: %.60q is no public key: NAME+HASH+KEY, as `ctdb-host plugin key` prints it, is needed", path, n, line)
		}
		t.keys = append(t.keys, v)
	}
	if err := s.Err(); err != nil {
		return t, fmt.Errorf("registry: trusted keys: %w", err)
	}
	if len(t.keys) == 0 {
		return t, fmt.Errorf("registry: %s holds no key, so that no package could be taken: add one, or remove the file to take packages without signatures", path)
	}
	return t, nil
}

// Required reports whether packages without a signature are refused.
func (t Trust) Required() bool { return len(t.keys) > 0 && !t.Unsigned }

func (t Trust) names() string {
	var names []string
	for _, k := range t.keys {
		names = append(names, k.Name())
	}
	return strings.Join(names, ", ")
}

func (t Trust) unsigned() error {
	return fmt.Errorf("it is not signed, and %s names whose packages are taken (%s): have one of them sign it, or take it all the same with --unsigned", t.File, t.names())
}

// NewKey makes a pair of ed25519 keys: the private one signs packages and is to be kept to oneself, the public one is for the files of those who trust it.
func NewKey(name string) (private, public string, err error) {
	if !ValidPluginName(strings.ReplaceAll(name, ".", "-")) {
		return "", "", fmt.Errorf("registry: %q cannot name a key: lower-case letters, digits, hyphens and dots are needed", name)
	}
	return note.GenerateKey(rand.Reader, name)
}

// signedText is what a signature is on: it names the package for whoever reads it, and all of its files by the manifest.
func signedText(m Manifest, manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return fmt.Sprintf("ctdb plugin package\n%s %s\n%s %s\n", m.Name, m.Version, ManifestFile, hex.EncodeToString(sum[:]))
}

// sign is the signature of a package.
func sign(m Manifest, manifest []byte, private string) ([]byte, error) {
	s, err := note.NewSigner(strings.TrimSpace(private))
	if err != nil {
		return nil, errors.New("is no private key: PRIVATE+KEY+NAME+..., as `ctdb-host plugin key` makes it, is needed")
	}
	return note.Sign(&note.Note{Text: signedText(m, manifest)}, s)
}

// verify reads the signatures on a package whose manifest is given.
func (t Trust) verify(root *os.Root, m Manifest, manifest []byte) (Signatures, error) {
	f, err := root.Open(SignatureFile)
	if errors.Is(err, fs.ErrNotExist) {
		if t.Required() {
			return Signatures{}, t.unsigned()
		}
		return Signatures{}, nil
	}
	if err != nil {
		return Signatures{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSignature))
	if err != nil {
		return Signatures{}, err
	}
	n, err := note.Open(data, note.VerifierList(t.keys...))
	var unknown *note.UnverifiedNoteError
	var wrong *note.InvalidSignatureError
	switch {
	case errors.As(err, &unknown):
		n = unknown.Note
	case errors.As(err, &wrong):
		return Signatures{}, fmt.Errorf("its signature by %s is wrong: %s was changed after it was signed", wrong.Name, SignatureFile)
	case err != nil:
		return Signatures{}, fmt.Errorf("%s is no signature", SignatureFile)
	}
	if want := signedText(m, manifest); n.Text != want {
		return Signatures{}, fmt.Errorf("its signature is of another package:\nsigned is %q\nthis is   %q", short(n.Text), short(want))
	}
	var s Signatures
	for _, one := range n.Sigs {
		s.By = append(s.By, one.Name)
	}
	for _, one := range n.UnverifiedSigs {
		s.Unknown = append(s.Unknown, fmt.Sprintf("%s+%08x", one.Name, one.Hash))
	}
	if len(s.By) == 0 && t.Required() {
		return s, fmt.Errorf("it is signed by %s, which %s does not have (it has %s): add the key if you trust it, or take the package all the same with --unsigned",
			strings.Join(s.Unknown, ", "), t.File, t.names())
	}
	return s, nil
}

func short(text string) string { return text[:min(400, len(text))] }
