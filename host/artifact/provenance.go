package artifact

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Provenance says how, where and when a run was done. Unlike the rest of a run it holds times, and differs from run to run.
type Provenance struct {
	// Name of the experiment.
	Name string `json:"name"`
	// Study is the study's name, Point the values of its axes by their paths: in the folder of a point, else empty.
	Study string         `json:"study,omitempty"`
	Point map[string]any `json:"point,omitempty"`
	// Shard is the share of a study that was run, e.g. "2/4"; empty where all of it was.
	Shard string `json:"shard,omitempty"`
	// Status is "running", "done", "failed" or "interrupted". A host that is killed leaves "running", see [Run.Status].
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
	// SHA256 of the executable or, of a package of several files, of them all, in hexadecimal.
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
	// Stopped is "time" where a limit of time ended the stage's training: the key is then that of what came of it so far. Empty where it came to its own end.
	Stopped string `json:"stopped,omitempty"`
	// From is the file with the weights that the stage's training began with, whose checksum is among the inputs in its record; empty for none.
	From string `json:"from,omitempty"`
	// Retried says what ended the first attempt where a second was made; empty where one was enough.
	Retried string `json:"retried,omitempty"`
}

// Write writes DIR/provenance.json; that of a shard of a study, which is no point's, is DIR/provenance-2-of-4.json.
func (p Provenance) Write(dir string) error {
	file := ProvenanceFile
	if p.Point == nil {
		file = ShardFile(ProvenanceFile, p.Shard)
	}
	p.Point, _ = finite(p.Point).(map[string]any)
	return WriteJSON(filepath.Join(dir, file), p)
}

// ShardFile is the name that a file of a study, e.g. [LogFile], has where a shard writes it: "log-2-of-4.jsonl" for shard "2/4", as it is for "".
func ShardFile(file, shard string) string {
	ext := filepath.Ext(file)
	return strings.TrimSuffix(file, ext) + shardSuffix(shard) + ext
}

// ReadProvenance reads DIR/provenance.json.
func ReadProvenance(dir string) (Provenance, error) {
	return readProvenance(filepath.Join(dir, ProvenanceFile))
}

func readProvenance(path string) (Provenance, error) {
	var p Provenance
	if err := ReadJSON(path, &p); err != nil {
		return Provenance{}, err
	}
	plain(p.Point)
	return p, nil
}

// shardFiles are the provenances of shards in a study's folder.
func shardFiles(dir string) []string {
	stem := strings.TrimSuffix(ProvenanceFile, filepath.Ext(ProvenanceFile))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, stem+"-") && strings.HasSuffix(name, ".json") && strings.Contains(name, "-of-") {
			out = append(out, filepath.Join(dir, name))
		}
	}
	return out
}

// readProvenances reads provenance.json, or those of shards where there are any that began later.
func readProvenances(dir string) ([]Provenance, error) {
	whole, err := ReadProvenance(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var shards []Provenance
	for _, path := range shardFiles(dir) {
		p, shardErr := readProvenance(path)
		if shardErr != nil {
			return nil, shardErr
		}
		if err != nil || p.Started.After(whole.Started) {
			shards = append(shards, p)
		}
	}
	switch {
	case len(shards) > 0:
		return shards, nil
	case err != nil:
		return nil, err
	}
	return []Provenance{whole}, nil
}

// JoinProvenances is what several shards did together: from the first start to the last end, with every stage and plugin once, and for the rest the newest.
func JoinProvenances(all []Provenance) Provenance {
	if len(all) == 1 {
		return all[0]
	}
	newest := slices.MaxFunc(all, func(a, b Provenance) int { return a.Started.Compare(b.Started) })
	out := newest
	out.Shard, out.Plugins, out.Stages = "", nil, nil
	plugins, stages := map[string]bool{}, map[string]int{}
	for _, p := range all {
		if p.Started.Before(out.Started) {
			out.Started = p.Started
		}
		if p.Finished.IsZero() {
			out.Finished = time.Time{}
		} else if !out.Finished.IsZero() && p.Finished.After(out.Finished) {
			out.Finished = p.Finished
		}
		out.Status = worse(out.Status, p.Status)
		for _, u := range p.Plugins {
			if !plugins[u.SHA256] {
				plugins[u.SHA256] = true
				out.Plugins = append(out.Plugins, u)
			}
		}
		for _, u := range p.Stages {
			i, ok := stages[u.Stage]
			switch {
			case !ok:
				stages[u.Stage] = len(out.Stages)
				out.Stages = append(out.Stages, u)
			case out.Stages[i].Status != "done" || out.Stages[i].Stored && u.Status == "done":
				out.Stages[i] = u // of several shards that have a stage, the one that did it
			}
		}
	}
	return out
}

// worse is what two shards are together.
func worse(a, b string) string {
	order := []string{"done", "interrupted", "failed", "killed", "running"}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// status is that of a provenance in a folder, "killed" where the host that wrote it is gone.
func status(dir string, p Provenance) string {
	if p.Status != "running" {
		return p.Status
	}
	file := LockFile
	if p.Point == nil {
		file += shardSuffix(p.Shard)
	}
	if held(dir, file) {
		return p.Status
	}
	return string(PointKilled)
}

func folderStatus(dir string, study *Study) string {
	out := folderStatusNow(dir, study)
	if out == string(PointKilled) {
		// A host that has ended between the look at the provenance and that at its lock has written its status before it gave the lock back.
		out = folderStatusNow(dir, study)
	}
	return out
}

func folderStatusNow(dir string, study *Study) string {
	all, err := readProvenances(dir)
	if err != nil {
		return ""
	}
	out := ""
	for _, p := range all {
		out = worse(status(dir, p), out)
	}
	if study != nil && out == "done" && all[0].Shard != "" {
		for _, p := range study.Points {
			if state, _ := pointState(PointDir(dir, p.Name)); state != PointDone {
				return "incomplete"
			}
		}
	}
	return out
}
