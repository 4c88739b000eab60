package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// ManifestFile is the name of the manifest in a package, and SignatureFile of its signature.
const (
	ManifestFile  = "ctdb-plugin.json"
	SignatureFile = "ctdb-plugin.sig"
)

// manifestFormat is the version of the manifest's form.
const manifestFormat = 1

// AnyPlatform is the platform of a package that runs wherever its interpreter does.
const AnyPlatform = "any"

// Bounds of a manifest.
const (
	maxManifest = 8 << 20
	maxDoc      = 4096
	maxPath     = 1024
	maxVersion  = 64
)

// Manifest says what is in a package: a plugin's executable and whatever it needs beside it. It is a file of the package.
type Manifest struct {
	Format  int    `json:"format"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Doc     string `json:"doc,omitempty"`
	// Protocol is the version of the plugin protocol, e.g. "1.1".
	Protocol string `json:"protocol"`
	// Platform is what the executable runs on, e.g. "linux/amd64", or "any" for a script.
	Platform string `json:"platform"`
	// Executable is the name of the file that is started, at the top of the package.
	Executable string              `json:"executable"`
	Components []ManifestComponent `json:"components"`
	// Files has the SHA-256 of each file, in hexadecimal, by its path in the package with slashes; the manifest and its signature are not among them.
	Files map[string]string `json:"files"`
}

// ManifestComponent is a component of a plugin.
type ManifestComponent struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Title is e.g. "mine@1.2.0".
func (m Manifest) Title() string { return m.Name + "@" + m.Version }

// Sum stands for all of the package's files: the executable's SHA-256 where that is all there is, so that it is that of the same program outside a package,
// else the SHA-256 of the list of sums and paths, in the form and order of `sha256sum`.
func (m Manifest) Sum() string {
	if len(m.Files) == 1 {
		return m.Files[m.Executable]
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		fmt.Fprintf(h, "%s  %s\n", m.Files[name], name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
var protocolForm = regexp.MustCompile(`^([0-9]{1,4})\.([0-9]{1,4})$`)
var platformForm = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+$`)

// executableName is the name that a plugin's executable has in a package.
func executableName(plugin, platform string) string {
	if strings.HasPrefix(platform, "windows/") {
		return Prefix + plugin + ".exe"
	}
	return Prefix + plugin
}

// parseManifest reads and checks a manifest: all that is wrong is reported.
func parseManifest(data []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	// A later format may have other fields: it is told by its number first.
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return m, fmt.Errorf("%s is no JSON: %w", ManifestFile, err)
	}
	if head.Format != manifestFormat {
		return m, fmt.Errorf("%s: format %d: this host knows %d: use a host of the package's age", ManifestFile, head.Format, manifestFormat)
	}
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return m, fmt.Errorf("%s: something follows the manifest", ManifestFile)
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return m, nil
}

func (m Manifest) check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !ValidPluginName(m.Name) {
		add("name %.100q: lower-case letters, digits and hyphens are needed", m.Name)
	}
	if _, err := semver.StrictNewVersion(m.Version); err != nil || len(m.Version) > maxVersion {
		add("version %.100q: a semantic version such as 1.2.0 is needed", m.Version)
	}
	if err := component.CheckText("doc", m.Doc, maxDoc); err != nil {
		add("%w", err)
	}
	if part := protocolForm.FindStringSubmatch(m.Protocol); part == nil {
		add("protocol %.100q: a version such as %d.%d is needed", m.Protocol, component.ProtocolMajor, component.ProtocolMinor)
	} else if part[1] != fmt.Sprint(component.ProtocolMajor) {
		add("protocol %s: this host speaks %d.%d: build the plugin with this version's sdk, or use a host that speaks %s", m.Protocol, component.ProtocolMajor, component.ProtocolMinor, part[1])
	}
	if m.Platform != AnyPlatform && !platformForm.MatchString(m.Platform) {
		add("platform %.100q: system/processor such as linux/amd64, or any, is needed", m.Platform)
	}
	if want := executableName(m.Name, m.Platform); m.Executable != want {
		add("executable %.100q: the file must be named %.100q and stand at the top of the package", m.Executable, want)
	} else if _, ok := m.Files[m.Executable]; !ok {
		add("executable %q is not among the files", m.Executable)
	}
	if len(m.Components) == 0 {
		add("components: there are none")
	}
	seen := map[string]bool{}
	for _, c := range m.Components {
		if _, err := component.ParseName(c.Name); err != nil || len(c.Name) > maxPath {
			add("components: %.100q: kind/name is needed", c.Name)
		}
		if _, err := semver.StrictNewVersion(c.Version); err != nil || len(c.Version) > maxVersion {
			add("components: %.100s: version %.100q: a semantic version such as 1.2.0 is needed", c.Name, c.Version)
		}
		if seen[c.Name] {
			add("components: %s is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	folded := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if err := checkName(name); err != nil {
			add("files: %w", err)
		}
		if name == ManifestFile || name == SignatureFile {
			add("files: %s cannot be one of them", name)
		}
		if !sumForm.MatchString(m.Files[name]) {
			add("files: %.100q: checksum %.100q: 64 hexadecimal digits are needed", name, m.Files[name])
		}
		if other, twice := folded[strings.ToLower(name)]; twice {
			add("files: %q and %q are one file where case does not count", other, name)
		}
		folded[strings.ToLower(name)] = name
		if len(errs) > 20 {
			add("and more")
			break
		}
	}
	return errors.Join(errs...)
}

// suits reports why a package cannot be used on this machine.
func (m Manifest) suits() error {
	if m.Platform == AnyPlatform {
		return nil
	}
	system, arch, _ := strings.Cut(m.Platform, "/")
	if why := unlike(system, arch); why != "" {
		return fmt.Errorf("the package %s: take the one for %s/%s, or build it here", why, runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// checkName reports why a path cannot be that of a file in a package: it leaves the package, or means something else on another system, or to a terminal.
func checkName(name string) error {
	switch {
	case component.CheckText("", name, maxPath) != nil || name == "":
		return fmt.Errorf("name %.100q: text of at most %d bytes without control characters is needed", name, maxPath)
	case strings.ContainsAny(name, `\:`):
		return fmt.Errorf("name %.100q: \\ and : are not allowed in a package", name)
	case !fs.ValidPath(name) || name == "." || path.IsAbs(name):
		return fmt.Errorf("name %.100q leads out of the package, or is not in its simplest form", name)
	}
	return nil
}

// describes reports where a package's manifest and what its plugin says of itself differ.
func (m Manifest) describes(own component.Manifest) error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if own.Name != m.Name {
		add("the plugin calls itself %q, the manifest %q", own.Name, m.Name)
	}
	if own.Version != m.Version {
		add("the plugin says that its version is %s, the manifest says %s", own.Version, m.Version)
	}
	listed := map[string]string{}
	for _, c := range m.Components {
		listed[c.Name] = c.Version
	}
	for _, c := range own.Components {
		name := c.Name.String()
		switch version, ok := listed[name]; {
		case !ok:
			add("the plugin has %s, which the manifest does not list", name)
		case version != c.Version:
			add("the plugin has %s %s, the manifest lists %s", name, c.Version, version)
		}
		delete(listed, name)
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		add("the manifest lists %s, which the plugin does not have", name)
	}
	return errors.Join(errs...)
}

// newManifest is the manifest of what a plugin says of itself, without its files.
func newManifest(own component.Manifest, platform string) Manifest {
	m := Manifest{
		Format: manifestFormat, Name: own.Name, Version: own.Version, Doc: own.Doc, Protocol: fmt.Sprintf("%d.%d", component.ProtocolMajor, own.Protocol), Platform: platform,
		Executable: executableName(own.Name, platform), Files: map[string]string{},
	}
	for _, c := range own.Components {
		m.Components = append(m.Components, ManifestComponent{c.Name.String(), c.Version})
	}
	return m
}

func (m Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// readManifest reads the manifest of a package's folder, and its bytes.
func readManifest(root *os.Root) (Manifest, []byte, error) {
	f, err := root.Open(ManifestFile)
	if err != nil {
		return Manifest{}, nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return Manifest{}, nil, err
	}
	if len(data) > maxManifest {
		return Manifest{}, nil, fmt.Errorf("%s is larger than %d bytes", ManifestFile, maxManifest)
	}
	m, err := parseManifest(data)
	return m, data, err
}

// verify compares the files of a package's folder with its manifest. All that differs is reported.
func (m Manifest) verify(root *os.Root) error {
	there, err := sums(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		switch got, ok := there[name]; {
		case !ok:
			errs = append(errs, fmt.Errorf("%s is missing", name))
		case got != m.Files[name]:
			errs = append(errs, fmt.Errorf("%s: its checksum is %s, the manifest has %s", name, got, m.Files[name]))
		}
		delete(there, name)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		errs = append(errs, fmt.Errorf("%s is not in the manifest", name))
	}
	if len(errs) > 20 {
		errs = append(errs[:20], fmt.Errorf("and %d more", len(errs)-20))
	}
	return errors.Join(errs...)
}

// sums are the checksums of all files in a package's folder but the manifest and its signature. What is no file is an error.
func sums(root *os.Root) (map[string]string, error) {
	out := map[string]string{}
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir() || name == ManifestFile || name == SignatureFile:
			return err
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is no regular file", name)
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		out[name] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return out, err
}
