package artifact

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// place writes a file of a stage's folder.
func place(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzReadFigures feeds figures: what is read can be drawn, and written and read it is the same.
func FuzzReadFigures(f *testing.F) {
	f.Add([]byte(`{"name":"a","title":"t","caption":"c","columns":2,"panels":[{"title":"p","x":{"label":"x","unit":"s","log":true,"min":1,"max":2},"y":{"label":"y","ticks":["a"]},"equal":true,"marks":[
		{"kind":"line","label":"l","group":"g","x":[1,2],"y":[3,null],"low":[0,1],"high":[4,5]},{"kind":"heatmap","rows":1,"cols":2,"z":[1,null],"z_label":"z"}]}]}`))
	f.Add([]byte(`{"name":"../a","panels":[{"marks":[{"kind":"image","rows":-1,"cols":9223372036854775807,"z":[]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		place(t, dir, FiguresDir+"/a.json", b)
		figures, err := ReadFigures(dir)
		if err != nil {
			return
		}
		for _, g := range figures {
			if err := g.Check(); err != nil {
				t.Fatal(err)
			}
			other := t.TempDir()
			if err := WriteFigure(other, g); err != nil {
				t.Fatal(err)
			}
			again, err := ReadFigures(other)
			if err != nil || len(again) != 1 || !sameJSON(t, again[0], g) {
				t.Errorf("got %+v, %v, want %+v", again, err, g)
			}
		}
	})
}

// sameJSON compares what NaN makes unequal to itself.
func sameJSON(t *testing.T, a, b component.Figure) bool {
	t.Helper()
	for _, g := range []*component.Figure{&a, &b} {
		for i := range g.Panels {
			for k := range g.Panels[i].Marks {
				m := &g.Panels[i].Marks[k]
				for _, list := range []*[]float64{&m.X, &m.Y, &m.Low, &m.High, &m.Z} {
					if len(*list) == 0 {
						*list = nil
					}
					for j, v := range *list {
						if math.IsNaN(v) || math.IsInf(v, 0) {
							(*list)[j] = 12345
						}
					}
				}
			}
		}
	}
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(x) == string(y)
}

// FuzzReadMetrics feeds curves: what is read can be written, and is then the same.
func FuzzReadMetrics(f *testing.F) {
	f.Add([]byte("{\"name\":\"train/loss\",\"epoch\":0,\"step\":7,\"value\":0.5}\n{\"name\":\"valid/loss\",\"epoch\":1,\"step\":9,\"value\":null}\n"))
	f.Add([]byte("{\"name\":\"a\",\"epoch\":1e3}\n\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		place(t, dir, MetricsFile, b)
		metrics, err := ReadMetrics(dir)
		if err != nil {
			return
		}
		other := t.TempDir()
		w, err := CreateMetrics(other)
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
		again, err := ReadMetrics(other)
		for i := range again {
			if math.IsNaN(again[i].Value) && math.IsNaN(metrics[i].Value) {
				again[i].Value, metrics[i].Value = 0, 0
			}
		}
		if err != nil || len(again) != len(metrics) || (len(again) > 0 && !reflect.DeepEqual(again, metrics)) {
			t.Errorf("got %+v, %v, want %+v", again, err, metrics)
		}
	})
}

// FuzzReadRecords feeds records, results and scores: what is read can be written, and is then read as the same bytes.
func FuzzReadRecords(f *testing.F) {
	f.Add([]byte(`{"stage":"train","component":"model/gru","params":{"n":3,"x":0.5,"big":18446744073709551615,"list":[1,2.5,"a"],"none":null},"seed":3,"key":"k","key_parts":{"a":"b"},` +
		`"deterministic":true,"train":{"steps":3,"best_loss":null,"last_loss":0.25,"stopped":"epochs"},"notes":["n"]}`))
	f.Add([]byte(`{"metrics":[{"comparator":"c","metric":"m","subject":"s","value":null,"low":0,"high":1,"null":null,"better":"higher","n":3,"seed":1,"point":{"seed":1,"fit.a":[1,{"b":2}]},"reason":"r"}]}`))
	f.Add([]byte(`{"trials":[1,2],"success":[1,null],"loss":[0.5,0.25],"condition":[0,1],"condition_names":["a","b"],"metrics":[[1,2]],"metric_names":["m"],"metric_units":[""]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir, first, second := t.TempDir(), t.TempDir(), t.TempDir()
		twice := func(file string, read, write func(from, to string) error) {
			t.Helper()
			place(t, dir, file, b)
			if read(dir, "") != nil {
				return
			}
			if write(dir, first) != nil {
				return // e.g. a result with neither a value nor a reason
			}
			if err := write(first, second); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			x, err := os.ReadFile(filepath.Join(first, file))
			if err != nil {
				t.Fatal(err)
			}
			if y, err := os.ReadFile(filepath.Join(second, file)); err != nil || string(x) != string(y) {
				t.Errorf("%s: %v\n%s\n%s", file, err, x, y)
			}
		}
		twice(RecordFile, func(from, _ string) error { _, err := ReadRecord(from); return err }, func(from, to string) error {
			r, err := ReadRecord(from)
			if err != nil {
				return err
			}
			return r.Write(to)
		})
		twice(ResultsFile, func(from, _ string) error { _, err := ReadResults(from); return err }, func(from, to string) error {
			r, err := ReadResults(from)
			if err != nil {
				return err
			}
			return r.Write(to)
		})
		twice(ScoreFile, func(from, _ string) error { _, err := ReadScore(from); return err }, func(from, to string) error {
			s, err := ReadScore(from)
			if err != nil {
				return err
			}
			return WriteScore(to, s)
		})
	})
}
