package artifact

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact/tfevents"
	"github.com/ctdb-host/ctdb/sdk/component"
)

func someMetrics() []component.Metric {
	return []component.Metric{
		{Name: "valid/loss", Epoch: 0, Step: 3, Value: 0.5}, {Name: "train/loss", Epoch: 0, Step: 3, Value: 1},
		{Name: "valid/loss", Epoch: 1, Step: 7, Value: math.NaN()}, {Name: "train/loss", Epoch: 1, Step: 7, Value: 0.25},
		{Name: "train/loss", Epoch: 1, Step: 7, Value: 0.125}, {Name: "a, \"b\"\nc", Epoch: 2, Step: 11, Value: 1e-9},
	}
}

func writeMetrics(t *testing.T, dir string, metrics []component.Metric) {
	t.Helper()
	w, err := CreateMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, m := range metrics {
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMetricsAsTableAndEvents(t *testing.T) {
	dir := t.TempDir()
	writeMetrics(t, dir, someMetrics())
	want := "epoch,step,valid/loss,train/loss,\"a, \"\"b\"\" c\"\n0,3,0.5,1,\n1,7,,0.25,\n1,7,,0.125,\n2,11,,,1e-09\n"
	if got := string(read(t, dir, MetricsTable)); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
	scalars, err := tfevents.Read(bytes.NewReader(read(t, dir, EventsFile)))
	if err != nil || len(scalars) != len(someMetrics()) {
		t.Fatalf("%d scalars, %v", len(scalars), err)
	}
	for i, m := range someMetrics() {
		s := scalars[i]
		same := s.Value == float32(m.Value) || math.IsNaN(m.Value) && math.IsNaN(float64(s.Value))
		if s.Tag != m.Name || s.Step != m.Step || !same {
			t.Errorf("%+v, want %+v", s, m)
		}
	}
	again := t.TempDir()
	writeMetrics(t, again, someMetrics())
	if !bytes.Equal(read(t, dir, EventsFile), read(t, again, EventsFile)) {
		t.Error("the same metrics give other bytes")
	}
	none := t.TempDir()
	writeMetrics(t, none, nil)
	if left, err := os.ReadDir(none); err != nil || len(left) != 1 {
		t.Errorf("without metrics there are %v, %v", left, err)
	}
}

func TestLive(t *testing.T) {
	run := t.TempDir()
	if err := os.WriteFile(filepath.Join(run, ExperimentFile), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(run, LiveDir)
	dir := filepath.Join(live, "point", "fit", "gru")
	w, err := FollowMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(run)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range someMetrics() {
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
		going, err := r.Live()
		if err != nil || len(going) != 1 || going[0].Name != "point/fit/gru" {
			t.Fatalf("in progress: %+v, %v", going, err)
		}
		if got, err := going[0].Metrics(); err != nil || len(got) != i+1 {
			t.Fatalf("%d metrics after %d, %v", len(got), i+1, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := t.TempDir()
	writeMetrics(t, whole, someMetrics())
	for _, name := range []string{MetricsFile, EventsFile} {
		if !bytes.Equal(read(t, dir, name), read(t, whole, name)) {
			t.Errorf("%s is other than that of the stage's folder", name)
		}
	}
	// Half a line, as one finds it that reads while another writes.
	lines := read(t, dir, MetricsFile)
	if err := os.WriteFile(filepath.Join(dir, MetricsFile), lines[:len(lines)-5], 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := (Live{Dir: dir}).Metrics(); err != nil || len(got) != len(someMetrics())-1 {
		t.Errorf("%d metrics, %v", len(got), err)
	}
	other := filepath.Join(live, "point", "train")
	if err := os.MkdirAll(other, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := RemoveLive(live, dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(live, "point"))
	if err != nil || len(left) != 1 || left[0].Name() != "train" {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := RemoveLive(live, other); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(run)
	if err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == LiveDir }) {
		t.Errorf("an empty folder is left: %v, %v", entries, err)
	}
}
