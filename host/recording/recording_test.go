package recording

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The archives of testdata hold spikes (4, 5, 3) that count 0, 1, 2, 3, 0, 1, ... in C order, and trials of 5, 3, 4 and 5 bins, see testdata/make.py.
var lengths = []int64{5, 3, 4, 5}

// counted is what the archives hold; behind a trial's end it is 0 where cut is set.
func counted(cut bool) []float32 {
	out := make([]float32, 4*5*3)
	for i := range out {
		if !cut || int64(i/3%5) < lengths[i/15] {
			out[i] = float32(i % 4)
		}
	}
	return out
}

func TestReadArchive(t *testing.T) {
	padded, err := ReadArchive("testdata/padded.npz", ArchiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(padded.Counts, counted(true)) || !slices.Equal(padded.Lengths, lengths) {
		t.Errorf("padded: counts %v, lengths %v", padded.Counts, padded.Lengths)
	}
	if !slices.Equal(padded.Neurons, []string{"a1", "a2", "b1"}) || padded.BinWidth != 0.02 {
		t.Errorf("padded: neurons %v, bins of %v s", padded.Neurons, padded.BinWidth)
	}
	if !slices.Equal(padded.Conditions, []string{"left", "right", "up"}) || !slices.Equal(padded.Others.Get(task.Conditions).I64, []int64{0, 1, 0, 2}) {
		t.Errorf("padded: conditions %v, %v", padded.Conditions, padded.Others.Get(task.Conditions))
	}
	rates := padded.Others.Get(simulator.Activity).F32
	for i, c := range counted(true) {
		if rates[i] != c/2 {
			t.Fatalf("padded: rate %d is %v, not half of %v: the order of Fortran was not minded", i, rates[i], c)
		}
	}
	if len(padded.Notes) != 1 || !strings.Contains(padded.Notes[0], "behaviour") {
		t.Errorf("padded: notes %q", padded.Notes)
	}

	stacked, err := ReadArchive("testdata/stacked.npz", ArchiveOptions{Spikes: "counts", BinWidth: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(stacked.Counts, counted(true)) || !slices.Equal(stacked.Lengths, lengths) || stacked.BinWidth != 0.01 || !slices.Equal(stacked.Neurons, []string{"0", "1", "2"}) {
		t.Errorf("stacked: %+v", stacked)
	}
	inputs := stacked.Others.Get(task.Inputs)
	if err := inputs.Expect(4, 5, 2); err != nil || inputs.F32[2] != 3-1 || inputs.F32[5*2+3*2] != 0 {
		t.Errorf("stacked: inputs %v: %v", inputs, err)
	}

	fortran, err := ReadArchive("testdata/fortran.npz", ArchiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fortran.Counts, counted(false)) {
		t.Errorf("fortran: %v", fortran.Counts)
	}
}

func TestArchivesThatAreWrong(t *testing.T) {
	whole, err := os.ReadFile("testdata/stacked.npz")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var empty bytes.Buffer
	z := zip.NewWriter(&empty)
	if w, err := z.Create("spikes.npy"); err != nil {
		t.Fatal(err)
	} else if _, err = io.WriteString(w, "\x93NUMPY\x01\x00\x41\x00{'descr': '<i8', 'fortran_order': False, 'shape': (6, 0, 5), }  \n"); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	at := bytes.Index(damaged, []byte("PK\x03\x04"))
	damaged[at+60] ^= 0x40
	for _, c := range []struct {
		name, path, spikes string
		want               []string
	}{
		{"objects", "testdata/objects.npz", "", []string{"spikes", "Python objects", "lengths"}},
		{"negative", "testdata/negative.npz", "", []string{"-1 in trial 0, bin 0, channel 0", "whole numbers from 0"}},
		{"half", "testdata/half.npz", "", []string{"0.5", "whole numbers"}},
		{"another name", "testdata/stacked.npz", "count", []string{`"count"`, `"counts"`}},
		{"lengths of another array", "testdata/padded.npz", "behaviour", []string{"lengths", "5 bins in trial 0", "the 4 of behaviour"}},
		{"one axis", "testdata/padded.npz", "lengths", []string{"lengths", "shape [4]", "(trials, bins, neurons)"}},
		{"no bins", write("empty.npz", empty.Bytes()), "", []string{"spikes: shape [6 0 5]", "at least one trial, bin and neuron"}},
		{"cut short", write("short.npz", whole[:len(whole)/2]), "", []string{"cut short"}},
		{"damaged", write("damaged.npz", damaged), "counts", []string{"counts"}},
		{"text", write("text.npz", []byte("neuron,time\n")), "", []string{"not a NumPy archive"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadArchive(c.path, ArchiveOptions{Spikes: c.spikes})
			says(t, err, c.want...)
		})
	}
	if _, err := ReadArchive("testdata/padded.npz", ArchiveOptions{BinWidth: 0.5}); err == nil || !strings.Contains(err.Error(), "0.02") {
		t.Errorf("another width of bins: %v", err)
	}
	if _, err := ReadArchive(filepath.Join(dir, "none.npz"), ArchiveOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// says checks that err is an *Error with these words.
func says(t *testing.T, err error, want ...string) {
	t.Helper()
	var wrong *Error
	if !errors.As(err, &wrong) {
		t.Fatalf("%v: an *Error is wanted", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func FuzzReadArchive(f *testing.F) {
	for _, name := range []string{"padded", "stacked", "objects", "fortran"} {
		b, err := os.ReadFile("testdata/" + name + ".npz")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x.npz")
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		r, err := ReadArchive(path, ArchiveOptions{})
		if err == nil && (len(r.Counts) != r.Trials*r.Bins*len(r.Neurons) || len(r.Lengths) != r.Trials) {
			t.Errorf("%d counts for %d trials, %d bins, %d neurons, %d lengths", len(r.Counts), r.Trials, r.Bins, len(r.Neurons), len(r.Lengths))
		}
	})
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadTable(t *testing.T) {
	// 0.06 / 0.02 is 2.9999999999999996: the spike belongs to bin 3.
	spikes := file(t, "spikes.csv", "trial,unit,time\n10,n2,0.001\n2,n1,0.06\n2,n1,0.0799\n2,n2,0.1\n10,n1,-0.01\n")
	r, err := ReadTable(spikes, TableOptions{BinWidth: 0.02, Duration: 0.1, Columns: map[string]string{"neuron": "unit"}})
	if err != nil {
		t.Fatal(err)
	}
	// Trials 2 and 10, in the order of numbers; neurons n1, n2; five bins.
	want := make([]float32, 2*5*2)
	want[3*2], want[10+1] = 2, 1
	if !slices.Equal(r.Counts, want) || !slices.Equal(r.Lengths, []int64{5, 5}) || !slices.Equal(r.Neurons, []string{"n1", "n2"}) {
		t.Errorf("counts %v, lengths %v, neurons %v", r.Counts, r.Lengths, r.Neurons)
	}
	if len(r.Notes) != 2 || !strings.Contains(r.Notes[1], "2 of 5 spikes") {
		t.Errorf("notes %q", r.Notes)
	}

	// The trial's own clock with windows, among them a trial without a spike.
	windows := file(t, "trials.csv", "trial,start,stop,condition\n2,0.05,0.11,b\n10,-0.02,0.05,a\n11,0,0.041,b\n")
	r, err = ReadTable(spikes, TableOptions{BinWidth: 0.02, Trials: windows, Columns: map[string]string{"neuron": "unit"}})
	if err != nil {
		t.Fatal(err)
	}
	want = make([]float32, 3*3*2)
	want[0], want[1*2], want[2*2+1] = 1, 1, 1 // trial 2: n1 at .06 and .0799, n2 at .1
	want[6], want[6+2+1] = 1, 1               // trial 10: n1 at -.01, n2 at .001
	if !slices.Equal(r.Counts, want) || !slices.Equal(r.Lengths, []int64{3, 3, 2}) {
		t.Errorf("counts %v, lengths %v", r.Counts, r.Lengths)
	}
	if !slices.Equal(r.Conditions, []string{"a", "b"}) || !slices.Equal(r.Others.Get(task.Conditions).I64, []int64{1, 0, 1}) || len(r.Notes) != 0 {
		t.Errorf("conditions %v, %v, notes %q", r.Conditions, r.Others, r.Notes)
	}

	// One clock, and windows that overlap: a spike counts in both.
	spikes = file(t, "spikes.csv", "neuron,time\n7,1.5\n11,0.2\n7,2.25\n7,9\n")
	windows = file(t, "trials.csv", "start\n1\n2\n0.0\n")
	r, err = ReadTable(spikes, TableOptions{BinWidth: 0.5, Trials: windows, Duration: 1.5})
	if err != nil {
		t.Fatal(err)
	}
	want = make([]float32, 3*3*2)
	want[1*2], want[2*2], want[6], want[12+1] = 1, 1, 1, 1
	if !slices.Equal(r.Counts, want) || !slices.Equal(r.Neurons, []string{"7", "11"}) {
		t.Errorf("counts %v, neurons %v", r.Counts, r.Neurons)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "1 of 4 spikes") {
		t.Errorf("notes %q", r.Notes)
	}
}

// Semicolons and tabs between values are as good as commas.
func TestSeparators(t *testing.T) {
	if _, err := ReadTable(file(t, "a.csv", "neuron\ttime\ttrial\n\t0.1\t1\n"), TableOptions{BinWidth: 0.5, Duration: 1}); err == nil || !strings.Contains(err.Error(), `neuron ""`) {
		t.Errorf("an empty value between tabs: %v", err)
	}
	if _, err := ReadTable(file(t, "a.csv", "\ufeff\"neuron\",\"time\",\"trial\"\n\"a\",0.1,1\n"), TableOptions{BinWidth: 0.5, Duration: 1}); err != nil {
		t.Errorf("names in quotation marks after a byte-order mark: %v", err)
	}
	want, err := ReadTable(file(t, "a.csv", "neuron,time,trial\na b,0.1,1\nc,0.7,2\na b,1.2,2\n"), TableOptions{BinWidth: 0.5, Duration: 1.5})
	if err != nil {
		t.Fatal(err)
	}
	for _, separator := range []string{";", "\t", "; "} {
		got, err := ReadTable(file(t, "a.csv", strings.ReplaceAll("neuron,time,trial\na b,0.1,1\nc,0.7,2\na b,1.2,2\n", ",", separator)), TableOptions{BinWidth: 0.5, Duration: 1.5})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Counts, want.Counts) || !slices.Equal(got.Neurons, want.Neurons) || !slices.Equal(got.Lengths, want.Lengths) {
			t.Errorf("with %q: %+v, want %+v", separator, got, want)
		}
	}
}

func TestTablesThatAreWrong(t *testing.T) {
	good := TableOptions{BinWidth: 0.02, Duration: 1}
	for _, c := range []struct {
		name, spikes, trials string
		o                    TableOptions
		want                 []string
	}{
		{"empty", "", "", good, []string{"empty", "neuron,time"}},
		{"no spikes", "trial,neuron,time\n", "", good, []string{"no spikes"}},
		{"column", "trial,cell,time\n1,a,2\n", "", good, []string{"line 1", `"neuron"`, "trial, cell, time", "--column neuron=NAME"}},
		{"time", "trial,neuron,time\n1,a,2\n1,,nan\n1,b,x\n", "", good, []string{"line 3", `time "nan"`, `neuron ""`, "line 4", `time "x"`}},
		{"fields", "trial,neuron,time\n1,a\n", "", good, []string{"line 2: 2 values: 3 are needed"}},
		{"quotation marks", "trial,neuron,time\n1,\"a,2\n", "", good, []string{"line 2", "quotation mark"}},
		{"decimal commas", "trial;neuron;time\n1;a;0,5\n", "", good, []string{`line 2: time "0,5"`, "decimal point"}},
		{"no names", "1,a,2\n", "", good, []string{`no column "neuron" and no "time", the columns are 1, a, 2 (another name`}},
		{"an array", "\x93NUMPY\x01\x00v\x00{'descr'", "", good, []string{"single NumPy array", "savez"}},
		{"an archive of another name", "PK\x03\x04", "", good, []string{"zip archive", ".npz"}},
		{"UTF-16", "\xff\xfen\x00e\x00", "", good, []string{"UTF-8"}},
		{"own name", "trial,neuron,time\n1,a,2\n", "", TableOptions{BinWidth: 0.02, Duration: 1, Columns: map[string]string{"neuron": "unit"}},
			[]string{`--column neuron=unit: there is no column "unit", the columns are trial, neuron, time`}},
		{"own name turned round", "trial,unit,time\n1,a,2\n", "", TableOptions{BinWidth: 0.02, Duration: 1, Columns: map[string]string{"unit": "neuron"}}, []string{"--column unit=neuron", "--column neuron=unit"}},
		{"width", "trial,neuron,time\n1,a,2\n", "", TableOptions{}, []string{"--bin-width 0"}},
		{"duration", "trial,neuron,time\n1,a,2\n", "", TableOptions{BinWidth: 0.02}, []string{"--duration", "--trials"}},
		{"too short", "trial,neuron,time\n1,a,2\n", "", TableOptions{BinWidth: 0.02, Duration: 0.01}, []string{"--duration", "0.01", "0.02"}},
		{"all behind the trials", "trial,neuron,time\n1,a,200\n2,b,900\n", "", good, []string{"not one of its 2 spikes falls into a trial", "from 200 to 900 s, the trials from 0 to 1 s", "milliseconds? then --milliseconds time is needed"}},
		{"milliseconds of what", "trial,neuron,time\n1,a,2\n", "", TableOptions{BinWidth: 0.02, Duration: 1, Milliseconds: []string{"duration"}}, []string{"--milliseconds duration", "time, start, stop"}},
		{"milliseconds of no table", "trial,neuron,time\n1,a,2\n", "", TableOptions{BinWidth: 0.02, Duration: 1, Milliseconds: []string{"start"}}, []string{"--milliseconds start", "--trials"}},
		{"milliseconds of nothing", "trial,neuron,time\n1,a,2\n", "trial,stop\n1,1\n", TableOptions{BinWidth: 0.02, Duration: 1, Milliseconds: []string{"stop"}}, []string{"--milliseconds stop", "--duration"}},
		{"microseconds", "trial,neuron,time\n1,a,200000\n2,b,900000\n", "", TableOptions{BinWidth: 0.02, Duration: 1, Milliseconds: []string{"time"}}, []string{"not one of its 2 spikes falls into a trial", "from 0 to 1 s"}},
		{"all before the trials", "trial,neuron,time\n1,a,-2\n2,b,-9\n", "", good, []string{"not one of its 2 spikes falls into a trial", "from -9 to -2 s, the trials from 0 to 1 s"}},
		{"one clock", "neuron,time\na,2\n", "", TableOptions{BinWidth: 0.02}, []string{"--trials"}},
		{"trial unknown", "trial,neuron,time\n1,a,2\n", "trial,stop\n2,1\n", TableOptions{BinWidth: 0.02}, []string{`trial "1"`}},
		{"trial twice", "trial,neuron,time\n1,a,2\n", "trial,stop\n1,1\n1,2\n", TableOptions{BinWidth: 0.02}, []string{"line 3", `trial "1"`, "twice"}},
		{"backwards", "trial,neuron,time\n1,a,2\n", "trial,start,stop\n1,2,1\n", TableOptions{BinWidth: 0.02}, []string{"line 2: stop 1 s is not after start 2 s"}},
		{"endless", "trial,neuron,time\n1,a,2\n", "trial,start,stop\n1,2,1e300\n", TableOptions{BinWidth: 0.02}, []string{"too many"}},
		{"column of none", "trial,neuron,time\n1,a,2\n", "", TableOptions{BinWidth: 0.02, Duration: 1, Columns: map[string]string{"neurons": "x"}}, []string{"neurons=x", `"neuron"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.trials != "" {
				c.o.Trials = file(t, "trials.csv", c.trials)
			}
			_, err := ReadTable(file(t, "spikes.csv", c.spikes), c.o)
			says(t, err, c.want...)
		})
	}
}

// Times and widths that look like milliseconds are asked about; spikes that are outside for another reason are counted alone.
func TestMilliseconds(t *testing.T) {
	const question = "milliseconds"
	read := func(spikes, windows string, o TableOptions) *Recording {
		t.Helper()
		if windows != "" {
			o.Trials = file(t, "trials.csv", windows)
		}
		r, err := ReadTable(file(t, "spikes.csv", spikes), o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		name, spikes, windows string
		asked                 bool
	}{
		{"own clock", "trial,neuron,time\n1,a,0.5\n1,a,120\n1,b,300\n2,a,450\n2,b,600\n2,b,990\n3,b,10\n", "", true},
		{"one clock", "neuron,time\na,0.5\na,600\nb,1200\nb,2100\na,2500\nb,2990\nb,100\n", "start,stop\n0,1\n2,3\n", true},
		{"half outside", "trial,neuron,time\n1,a,0.5\n1,a,0.2\n2,b,300\n2,b,500\n", "", false},
		{"far behind", "trial,neuron,time\n1,a,0.5\n1,a,5000\n2,b,7000\n2,b,9000\n", "", false},
		{"before", "trial,neuron,time\n1,a,0.5\n1,a,-500\n2,b,-700\n2,b,-900\n", "", false},
	} {
		r := read(c.spikes, c.windows, TableOptions{BinWidth: 0.02, Duration: map[bool]float64{true: 1}[c.windows == ""]})
		if notes := strings.Join(r.Notes, "; "); !strings.Contains(notes, "fall into no bin") || strings.Contains(notes, question) != c.asked {
			t.Errorf("%s: notes %q", c.name, notes)
		}
	}
	// What is in milliseconds throughout is asked about, and once it is said the counts are those of the same times in seconds.
	const inSeconds, inMilliseconds = "neuron,time\na,0.5\na,0.6\nb,1.2\nb,2.1\na,2.5\nb,2.99\nb,0.1\n", "neuron,time\na,500\na,600\nb,1200\nb,2100\na,2500\nb,2990\nb,100\n"
	want := read(inSeconds, "start,stop\n0,1\n2,3\n", TableOptions{BinWidth: 0.02})
	if len(want.Notes) != 1 || strings.Contains(want.Notes[0], question) {
		t.Errorf("in seconds: notes %q", want.Notes)
	}
	if got := read(inMilliseconds, "start,stop\n0,1000\n2000,3000\n", TableOptions{BinWidth: 20}); !strings.Contains(strings.Join(got.Notes, "; "), "--milliseconds time,start,stop") {
		t.Errorf("in milliseconds: notes %q", got.Notes)
	}
	for windows, columns := range map[string][]string{"start,stop\n0,1\n2,3\n": {"time"}, "start,stop\n0,1000\n2000,3000\n": {"time", "start", "stop"}} {
		got := read(inMilliseconds, windows, TableOptions{BinWidth: 0.02, Milliseconds: columns})
		if !slices.Equal(got.Counts, want.Counts) || !slices.Equal(got.Lengths, want.Lengths) || !slices.Equal(got.Notes, want.Notes) {
			t.Errorf("%v in milliseconds: %d spikes of trials of %v bins, want %v: %q", columns, len(got.Counts), got.Lengths, want.Lengths, got.Notes)
		}
	}
	for width, asked := range map[float64]bool{0.5: false, 1: false, 20: true} {
		r := read("trial,neuron,time\n1,a,5\n2,a,50\n", "", TableOptions{BinWidth: width, Duration: 100})
		s, err := r.Write(t.Context(), filepath.Join(t.TempDir(), "data.h5"), Division{Valid: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.Join(s.Notes, "; "), question) != asked {
			t.Errorf("bins of %v s: notes %q", width, s.Notes)
		}
	}
	// Without a spike nothing is written.
	r := read("trial,neuron,time\n1,a,5\n2,a,50\n", "", TableOptions{BinWidth: 1, Duration: 100})
	clear(r.Counts)
	path := filepath.Join(t.TempDir(), "data.h5")
	_, err := r.Write(t.Context(), path, Division{Valid: 0.5})
	says(t, err, "not one spike")
	if _, err := os.Stat(path); err == nil {
		t.Error("a data set without a spike was written")
	}
}

func TestWrite(t *testing.T) {
	r, err := ReadArchive("testdata/padded.npz", ArchiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "data.h5")
	s, err := r.Write(t.Context(), path, Division{HeldOut: "a2", Valid: 0.25, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	if s.HeldIn != 2 || !slices.Equal(s.HeldOut, []string{"a2"}) || s.TrainTrials != 3 || s.ValidTrials != 1 || s.Shortest != 3 || s.Bins != 5 {
		t.Errorf("summary %+v", s)
	}
	d, err := artifact.OpenDataset(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if got := d.Attributes().Labels(); !slices.Equal(got.Neurons, []string{"a1", "b1", "a2"}) || got.BinWidth != 0.02 {
		t.Errorf("labels %+v", got)
	}
	b, err := tensor.Collect(d.Blocks(t.Context(), task.All, nil, 0))
	if err != nil {
		t.Fatal(err)
	}
	all, in, rates := b.Arrays.Get(simulator.Reconstructed).Float64s(), b.Arrays.Get(simulator.Encoded).Float64s(), b.Arrays.Get(simulator.Activity).Float64s()
	want := counted(true)
	for i, trial := range b.Trials {
		if got := b.Arrays.Get(task.Lengths).I64[i]; got != lengths[trial] {
			t.Errorf("trial %d has %d bins, want %d", trial, got, lengths[trial])
		}
		for bin := range 5 {
			for j, neuron := range []int{0, 2, 1} {
				w := float64(want[(int(trial)*5+bin)*3+neuron])
				if got := all[(i*5+bin)*3+j]; got != w {
					t.Errorf("trial %d, bin %d, neuron %d: %v, want %v", trial, bin, neuron, got, w)
				}
				if got := rates[(i*5+bin)*3+j]; got != w/2 {
					t.Errorf("trial %d, bin %d, neuron %d: rate %v, want %v", trial, bin, neuron, got, w/2)
				}
				if j < 2 && in[(i*5+bin)*2+j] != w {
					t.Errorf("trial %d, bin %d, held-in neuron %d: %v, want %v", trial, bin, neuron, in[(i*5+bin)*2+j], w)
				}
			}
		}
	}
	if sorted := slices.Sorted(slices.Values(b.Trials)); !slices.Equal(sorted, []int64{0, 1, 2, 3}) {
		t.Errorf("trials %v", b.Trials)
	}

	// The same bytes again, and nothing left of what is refused.
	again := filepath.Join(t.TempDir(), "again.h5")
	if _, err := r.Write(t.Context(), again, Division{HeldOut: "a2", Valid: 0.25, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	one, err1 := os.ReadFile(path)
	two, err2 := os.ReadFile(again)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, two) {
		t.Errorf("the same recording gave other bytes: %v", err)
	}
	for _, c := range []struct {
		d    Division
		want []string
	}{
		{Division{HeldOut: "a3", Valid: 0.2}, []string{`--held-out "a3"`, `"a1"`}},
		{Division{HeldOut: "a1,a2,b1", Valid: 0.2}, []string{"all neurons"}},
		{Division{HeldOut: "1.5", Valid: 0.2}, []string{`"1.5"`, "fraction", "a1, a2, b1"}},
		{Division{HeldOut: "a1,,a2", Valid: 0.2}, []string{`--held-out "a1,,a2": a name is missing`}},
		{Division{Valid: 1}, []string{"--valid 1:"}},
	} {
		_, err := r.Write(t.Context(), filepath.Join(t.TempDir(), "no.h5"), c.d)
		says(t, err, c.want...)
	}
	if s, err := r.Write(t.Context(), again, Division{HeldOut: "0.5", Valid: 0.5, InOrder: true}); err != nil || s.HeldIn != 1 || s.TrainTrials != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}
