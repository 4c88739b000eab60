package artifact

import (
	"path/filepath"
	"time"
)

// Provenance says how, where and when a run was done. Unlike the rest of a run it holds times, and differs from run to run.
type Provenance struct {
	// Name of the experiment.
	Name string `json:"name"`
	// Status is "running", "done", "failed" or "interrupted".
	Status string `json:"status"`
	// Host is the program's version, Go the compiler's, Platform e.g. "linux/amd64".
	Host     string    `json:"host"`
	Go       string    `json:"go"`
	Platform string    `json:"platform"`
	CPU      string    `json:"cpu"`
	Threads  int       `json:"threads"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Command  []string  `json:"command"`
	// Environment holds the variables that may change results, Libraries the versions of what is linked, e.g. {"hdf5": "1.10.8"}.
	Environment map[string]string `json:"environment"`
	Libraries   map[string]string `json:"libraries"`
	Plugins     []PluginUse       `json:"plugins"`
	Stages      []StageUse        `json:"stages"`
}

// PluginUse is a plugin that took part.
type PluginUse struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Path    string `json:"path"`
	// SHA256 of the executable, in hexadecimal.
	SHA256   string            `json:"sha256"`
	Language string            `json:"language"`
	Build    string            `json:"build"`
	Numerics map[string]string `json:"numerics"`
}

// StageUse is what became of a stage in this run.
type StageUse struct {
	Stage string `json:"stage"`
	Key   string `json:"key"`
	// Stored is true where the stage was in the store already.
	Stored bool `json:"stored"`
	// Status is "done", "failed", "interrupted" or "skipped"; Error says why it is not done.
	Status  string `json:"status"`
	Error   string `json:"error,omitempty"`
	Seconds Number `json:"seconds"`
	Threads int    `json:"threads"`
}

// Write writes DIR/provenance.json.
func (p Provenance) Write(dir string) error {
	return WriteJSON(filepath.Join(dir, ProvenanceFile), p)
}

// ReadProvenance reads DIR/provenance.json.
func ReadProvenance(dir string) (Provenance, error) {
	var p Provenance
	if err := ReadJSON(filepath.Join(dir, ProvenanceFile), &p); err != nil {
		return Provenance{}, err
	}
	return p, nil
}
