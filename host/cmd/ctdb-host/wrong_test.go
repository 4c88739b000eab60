package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// refused runs the program on a file and checks that it refuses with status 2, that it says the given lines and no others, in which ... stands for anything,
// and that it has made no run.
func refused(t *testing.T, w *world, lines []string, args ...string) {
	t.Helper()
	cmd, out := w.command(append(args, "--out", "out", "--store", "store", "--quiet")...)
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("ended with %v, want exit status 2", err)
	}
	said := strings.TrimPrefix(out.String(), "ctdb-host: ")
	var got []string
	for line := range strings.Lines(strings.ReplaceAll(said, w.path("")+"/", "")) {
		if line = strings.TrimSpace(line); line != "" && line != "this cannot be done:" && !strings.HasSuffix(line, " problems") {
			got = append(got, line)
		}
	}
	ok := len(got) == len(lines)
	for i := 0; ok && i < len(lines); i++ {
		ok = matches(lines[i], got[i])
	}
	if !ok {
		t.Errorf("says\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
	if _, err := os.Stat(w.path("out")); err == nil {
		t.Error("a run was made")
		if err := os.RemoveAll(w.path("out")); err != nil {
			t.Fatal(err)
		}
	}
}

// matches compares a line with a pattern in which ... stands for anything.
func matches(pattern, line string) bool {
	parts := strings.Split(pattern, "...")
	rest, ok := strings.CutPrefix(line, parts[0])
	for _, p := range parts[1:] {
		if !ok {
			return false
		}
		if p == "" {
			return true
		}
		_, rest, ok = strings.Cut(rest, p)
	}
	return ok && rest == ""
}

// TestWrongExperiments runs every experiment of testdata/wrong.txtar.
func TestWrongExperiments(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/wrong.txtar")
	if err != nil {
		t.Fatal(err)
	}
	says := map[string]string{}
	for _, f := range archive.Files {
		says[f.Name] = string(f.Data)
	}
	w := newWorld(t)
	cases := 0
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if !ok {
			continue
		}
		cases++
		t.Run(name, func(t *testing.T) {
			w.write("x.yaml", string(f.Data))
			refused(t, w, strings.Split(strings.TrimSpace(says[name+".says"]), "\n"), "run", "x.yaml")
		})
	}
	if cases < 100 {
		t.Errorf("%d cases, want at least 100", cases)
	}
}

const ofRecording = `version: 1
name: x
simulate: {dataset: d.h5}
fit: [{name: sae, use: model/sae-gru, params: {latent: 2, encoder_size: 3, epochs: 1}}]
compare: [{use: comparator/metrics}]
`

const ofNetwork = `version: 1
name: x
task: {use: task/nbff, params: {n_bits: 2, n_timesteps: 20, n_trials: 20}}
train: {load: run/train}
simulate: {use: simulator/spikes, params: {n_heldin: 6, n_heldout: 2}}
`

// TestWrongFiles gives the program data sets, weights and folders that are damaged, of another kind or of another study, and experiments that no text file can hold.
func TestWrongFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recording := filepath.Join(t.TempDir(), "d.h5")
	writeRecording(t, recording)
	whole, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	data := func(name string, change func([]byte) []byte, lines ...string) {
		t.Run("data set: "+name, func(t *testing.T) {
			w.write("x.yaml", ofRecording)
			w.write("d.h5", string(change(append([]byte(nil), whole...))))
			refused(t, w, lines, "run", "x.yaml")
		})
	}
	data("empty", func([]byte) []byte { return nil }, "x.yaml:3:21: simulate.dataset: ...d.h5: no HDF5 signature in its 0 bytes...")
	data("truncated in its head", func(b []byte) []byte { return b[:40] }, "x.yaml:3:21: simulate.dataset: ...d.h5: ...")
	data("truncated in the middle", func(b []byte) []byte { return b[:len(b)/2] }, "x.yaml:3:21: simulate.dataset: ...d.h5: ...truncated...")
	data("its last byte gone", func(b []byte) []byte { return b[:len(b)-1] }, "x.yaml:3:21: simulate.dataset: ...d.h5: ...truncated...")
	data("zeros", func(b []byte) []byte { return make([]byte, len(b)) }, "x.yaml:3:21: simulate.dataset: ...d.h5: no HDF5 signature...")
	data("a picture", func([]byte) []byte { return []byte("\x89PNG\r\n\x1a\n............") }, "x.yaml:3:21: simulate.dataset: ...d.h5: no HDF5 signature...")

	w.write("tiny.yaml", tinyStudy)
	w.must("run", "tiny.yaml", "--store", "store", "--out", "run")
	weights := w.path("run", "train", artifact.WeightsFile)
	good, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	network := func(name, experiment string, change func([]byte) []byte, lines ...string) {
		t.Run("weights: "+name, func(t *testing.T) {
			w.write("x.yaml", experiment)
			// The file is linked to the store: a new one stands in its place.
			if err := os.Remove(weights); err != nil {
				t.Fatal(err)
			}
			if b := change(append([]byte(nil), good...)); b != nil {
				if err := os.WriteFile(weights, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			refused(t, w, lines, "run", "x.yaml")
			if err := os.WriteFile(weights, good, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	network("missing", ofNetwork, func([]byte) []byte { return nil }, "x.yaml:4:15: train.load: ...weights.safetensors...")
	network("truncated", ofNetwork, func(b []byte) []byte { return b[:len(b)-5] }, "x.yaml:4:15: train.load: ...weights.safetensors...")
	network("a pickle", ofNetwork, func([]byte) []byte { return []byte("PK\x03\x04archive/data.pkl") }, "x.yaml:4:15: train.load: ...weights.safetensors...torch.save...")
	network("not a number", ofNetwork, func(b []byte) []byte { copy(b[len(b)-4:], "\x00\x00\xc0\x7f"); return b }, "x.yaml:4:15: train.load: ...weights.safetensors...")
	network("a header beyond the file", ofNetwork, func(b []byte) []byte { b[6] = 0x7f; return b }, "x.yaml:4:15: train.load: ...weights.safetensors...")
	network("of another task", strings.Replace(ofNetwork, "n_bits: 2", "n_bits: 3", 1), func(b []byte) []byte { return b }, "x.yaml:4:15: train.load: ...n_bits...")

	experiments := func(name, text string, lines ...string) {
		t.Run("experiment: "+name, func(t *testing.T) {
			w.write("x.yaml", text)
			refused(t, w, lines, "run", "x.yaml")
		})
	}
	experiments("binary", "\x00\x01\x02", "x.yaml:1:1: the control character U+0000 is not allowed")
	experiments("invalid UTF-8", "version: 1\nname: \xff\xfe\n", "x.yaml:2:...UTF-8...")
	experiments("nested deep", "version: 1\na: "+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+"\n", "x.yaml:2:20: is nested more than 16 deep")
	experiments("long", "version: 1\n# "+strings.Repeat("y", 400000)+"\n", "x.yaml: 400014 bytes: at most 262144 are allowed")
	experiments("many points", "version: 1\nname: x\nseeds: ["+numbers(200)+"]\n"+
		"task: {use: task/nbff}\ntrain: {use: model/gru}\nmatrix: {train.params.hidden: ["+numbers(100)+"]}\n", "x.yaml:6:1: matrix: 200 x 100 = 20000 points: at most 10000 are allowed")
	t.Run("experiment: a folder", func(t *testing.T) { refused(t, w, []string{"...home: is a directory"}, "run", w.path("home")) })
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(i + 1))
	}
	return b.String()
}
