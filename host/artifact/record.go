package artifact

import (
	"fmt"
	"path/filepath"

	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Record says what a stage's folder holds and what it was made from. It has no times, so that the folder's bytes can be had again.
type Record struct {
	// Stage is "train", "simulate", "fit" or "compare": no name, since stages of several names, in several experiments, may share what is stored.
	Stage string `json:"stage"`
	// Component is kind/name; empty where the stage only loads files.
	Component        string `json:"component"`
	ComponentVersion string `json:"component_version"`
	Plugin           string `json:"plugin"`
	PluginVersion    string `json:"plugin_version"`
	// Params are the resolved parameters; read back, their numbers are int64 where written as whole ones, else float64.
	Params param.Values `json:"params"`
	// Defaults are what the component's schema says where nothing is given; absent from records of earlier versions, and of parameters that must be given.
	Defaults param.Values `json:"defaults,omitempty"`
	Seed     uint64       `json:"seed"`
	// Key is the store's key, made of KeyParts.
	Key      string            `json:"key"`
	KeyParts map[string]string `json:"key_parts"`
	// Numerics names what may change the last bits, as the plugin says it.
	Numerics map[string]string `json:"numerics"`
	// Inputs are the digests of what went in, by name.
	Inputs map[string]string `json:"inputs"`
	// Deterministic is the component's promise.
	Deterministic bool `json:"deterministic"`
	// Train sums training up; nil for stages that do not train.
	Train *TrainSummary `json:"train,omitempty"`
	// Notes are remarks to the reader, e.g. why a file is absent.
	Notes []string `json:"notes,omitempty"`
}

// TrainSummary is a model.TrainResult without its weights.
type TrainSummary struct {
	Steps     int64  `json:"steps"`
	Epochs    int64  `json:"epochs"`
	BestEpoch int64  `json:"best_epoch"`
	BestLoss  Number `json:"best_loss"`
	KeptBest  bool   `json:"kept_best"`
	LastLoss  Number `json:"last_loss"`
	Stopped   string `json:"stopped"`
}

// Summarize keeps what belongs in a record.
func Summarize(r model.TrainResult) *TrainSummary {
	return &TrainSummary{
		Steps: r.Steps, Epochs: r.Epochs, BestEpoch: r.BestEpoch, BestLoss: Number(r.BestLoss),
		KeptBest: r.KeptBest, LastLoss: Number(r.LastLoss), Stopped: r.Stopped,
	}
}

// Write writes DIR/record.json.
func (r Record) Write(dir string) error {
	if params, ok := finite(map[string]any(r.Params)).(map[string]any); ok {
		r.Params = params
	}
	if defaults, ok := finite(map[string]any(r.Defaults)).(map[string]any); ok && len(defaults) > 0 {
		r.Defaults = defaults
	}
	return WriteJSON(filepath.Join(dir, RecordFile), r)
}

// ReadRecord reads DIR/record.json.
func ReadRecord(dir string) (Record, error) {
	var r Record
	path := filepath.Join(dir, RecordFile)
	if err := ReadJSON(path, &r); err != nil {
		return Record{}, err
	}
	if r.Stage == "" {
		return Record{}, fmt.Errorf("artifact: %s: it names no stage", path)
	}
	for k, v := range r.Params {
		r.Params[k] = plain(v)
	}
	for k, v := range r.Defaults {
		r.Defaults[k] = plain(v)
	}
	return r, nil
}
