package component

// Protocol is the version of the plugin protocol that this SDK speaks. Major is in the handshake and in the names of the proto packages;
// Minor grows when something is added that an older peer can do without.
const (
	ProtocolMajor = 1
	ProtocolMinor = 1
)

// Manifest is what a plugin says of itself.
type Manifest struct {
	// Name of the plugin, lower-case letters, digits and hyphens, and its semantic version.
	Name, Version string
	// Doc is one sentence on what is in it.
	Doc string
	// Protocol is the minor version of the protocol that the plugin speaks.
	Protocol int
	// Language and Build say what it was made with, e.g. "go1.26.1" and "linux/amd64"; for provenance alone.
	Language, Build string
	// Numerics names what may change the last bits of results, e.g. {"kernel": "avx512", "blas": "openblas 0.3.21"}.
	Numerics   map[string]string
	Components []Info
}

// Find returns the component of that name.
func (m Manifest) Find(n Name) (Info, bool) {
	for _, c := range m.Components {
		if c.Name == n {
			return c, true
		}
	}
	return Info{}, false
}
