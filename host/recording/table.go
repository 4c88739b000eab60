package recording

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// TableOptions say what a table of spikes does not.
type TableOptions struct {
	// BinWidth in seconds, which is needed.
	BinWidth float64
	// Trials is a table of the trials: start and stop in seconds, and where they have names or conditions, trial and condition. Needed where the table of spikes has no trials.
	Trials string
	// Duration in seconds is how long each trial is that Trials does not tell; it begins at 0.
	Duration float64
	// Columns are the names that the tables have for the columns trial, neuron, time, start, stop and condition, where these are others.
	Columns map[string]string
	// Milliseconds are those of the columns time, start and stop whose times are in milliseconds; the others' are in seconds.
	Milliseconds []string
}

// The columns of the tables.
const (
	trialColumn     = "trial"
	neuronColumn    = "neuron"
	timeColumn      = "time"
	startColumn     = "start"
	stopColumn      = "stop"
	conditionColumn = "condition"
)

// Columns are the names that [TableOptions.Columns] may stand for.
func Columns() []string {
	return []string{trialColumn, neuronColumn, timeColumn, startColumn, stopColumn, conditionColumn}
}

// timed are the columns with times.
func timed() []string { return []string{timeColumn, startColumn, stopColumn} }

// window is a trial of a table.
type window struct {
	name, condition string
	start, stop     float64
}

// ReadTable reads a table of spikes, a file of values with commas, semicolons or tabs between, with the columns neuron and time, in seconds unless Milliseconds says otherwise, under a line of
// their names.
//
// With a column trial, times are on the trial's own clock, which begins at 0 unless Trials says otherwise. Without one, times are on the recording's clock, and Trials says from when to
// when each trial is; a spike counts in every trial that it falls into. A trial has as many bins as fit in it; what is left at its end is left out.
func ReadTable(path string, o TableOptions) (*Recording, error) {
	wrong := &Error{}
	if !(o.BinWidth > 0) || math.IsInf(o.BinWidth, 0) {
		wrong.add("--bin-width %v: seconds above 0 are needed to count spikes", o.BinWidth)
	}
	if o.Duration < 0 || math.IsNaN(o.Duration) || math.IsInf(o.Duration, 0) {
		wrong.add("--duration %v: seconds above 0 are needed", o.Duration)
	}
	for name := range o.Columns {
		if !slices.Contains(Columns(), name) {
			wrong.add("--column %s=%s: %q is none of the columns that are read, %s%s", name, o.Columns[name], name, strings.Join(Columns(), ", "), columnHint(name, o.Columns[name]))
		}
	}
	for _, name := range o.Milliseconds {
		if !slices.Contains(timed(), name) {
			wrong.add("--milliseconds %s: %q is none of the columns of times, %s", name, name, strings.Join(timed(), ", "))
		} else if name != timeColumn && o.Trials == "" {
			wrong.add("--milliseconds %s: that is a column of the table of trials, which --trials names", name)
		} else if name == stopColumn && o.Duration > 0 {
			wrong.add("--milliseconds %s: that column is not read beside --duration, which is in seconds", name)
		}
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	s, err := readSpikes(path, o)
	if err != nil {
		return nil, err
	}
	r := &Recording{Files: []string{path}, BinWidth: o.BinWidth, Neurons: ordered(s.neurons)}
	windows, err := s.windows(r, path, o)
	if err != nil {
		return nil, err
	}
	if err := s.count(r, path, windows, o); err != nil {
		return nil, err
	}
	if note := r.slow(o); note != "" {
		r.Notes = append(r.Notes, note)
	}
	return r, nil
}

// A recording whose neurons fire less often than slowRate (spikes/s) in trials of more than longTrial (s) may be one in milliseconds throughout.
const (
	slowRate  = 0.05
	longTrial = 100
)

// slow asks whether all times are in milliseconds; it is empty where there is no reason to.
func (r *Recording) slow(o TableOptions) string {
	if len(o.Milliseconds) > 0 || float64(r.Bins)*r.BinWidth <= longTrial {
		return ""
	}
	spikes, bins := 0.0, int64(0)
	for _, n := range r.Counts {
		spikes += float64(n)
	}
	for _, n := range r.Lengths {
		bins += n
	}
	rate := spikes / (float64(bins) * r.BinWidth * float64(len(r.Neurons)))
	if rate >= slowRate {
		return ""
	}
	columns, seconds := []string{timeColumn}, ""
	if o.Trials != "" {
		columns = append(columns, startColumn)
	}
	if o.Duration > 0 {
		seconds = ", and a --duration in seconds"
	} else {
		columns = append(columns, stopColumn)
	}
	return fmt.Sprintf("a neuron fires %.2g times a second on average, in trials of up to %.4g s: are the times in milliseconds? then --milliseconds %s is needed%s", rate, float64(r.Bins)*r.BinWidth,
		strings.Join(columns, ","), seconds)
}

// columnHint is what was probably meant by --column COLUMN=NAME, in brackets with a space before them; empty where that is not clear.
func columnHint(column, name string) string {
	if slices.Contains(Columns(), name) {
		return fmt.Sprintf(" (the other way round? --column %s=%s)", name, column)
	}
	if h := param.DidYouMean(column, Columns()); h != "" {
		return " (" + h + ")"
	}
	return ""
}

// table is a file of comma-separated values as it is read.
type table struct {
	csv     *csv.Reader
	columns map[string]int
	err     *Error
}

// each calls with every line, until one cannot be read.
func (t *table) each(with func(line int, get func(column string) string) error) error {
	for {
		fields, err := t.csv.Read()
		if errors.Is(err, io.EOF) {
			return t.err.err()
		}
		if errors.Is(err, csv.ErrFieldCount) {
			line, _ := t.csv.FieldPos(0)
			t.err.add("line %d: %d values: %d are needed, one for each column of line 1", line, len(fields), t.csv.FieldsPerRecord)
			return t.err
		}
		if err != nil {
			t.err.add("%s", unread(err))
			return t.err
		}
		line, _ := t.csv.FieldPos(0)
		if err := with(line, func(column string) string {
			i, ok := t.columns[column]
			if !ok {
				return ""
			}
			return strings.TrimSpace(fields[i])
		}); err != nil {
			t.err.add("line %d: %v", line, err)
		}
		if len(t.err.Problems) > 100*most {
			return t.err // enough to see what is wrong
		}
	}
}

// seconds reads a time.
func (o TableOptions) seconds(column, text string) (float64, error) {
	unit, each := "seconds", 1.0
	if slices.Contains(o.Milliseconds, column) {
		unit, each = "milliseconds", 1000
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && strings.Contains(text, ",") {
		return 0, fmt.Errorf("%s %q: a time in %s with a decimal point is needed, not with a comma", column, text, unit)
	}
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s %q: a time in %s is needed", column, text, unit)
	}
	return v / each, nil
}

// spikes are the lines of a table, in which trials and neurons are numbered as they come.
type spikes struct {
	neurons, trials []string
	// neuron and trial are numbers, trial -1 where there is no such column; time is in seconds.
	neuron, trial []int32
	time          []float64
}

// numbering gives names numbers in the order in which they come.
type numbering struct {
	of    map[string]int32
	names []string
}

func (n *numbering) number(name string) int32 {
	if k, ok := n.of[name]; ok {
		return k
	}
	k := int32(len(n.names))
	name = strings.Clone(name)
	n.of[name] = k
	n.names = append(n.names, name)
	return k
}

func readSpikes(path string, o TableOptions) (*spikes, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	defer f.Close()
	t, err := openTable(path, f, []string{neuronColumn, timeColumn}, []string{trialColumn}, only(o.Columns, neuronColumn, timeColumn, trialColumn))
	if err != nil {
		return nil, err
	}
	_, byTrial := t.columns[trialColumn]
	s := &spikes{}
	neurons, trials := numbering{of: map[string]int32{}}, numbering{of: map[string]int32{}}
	err = t.each(func(_ int, get func(string) string) error {
		v, err := o.seconds(timeColumn, get(timeColumn))
		name := get(neuronColumn)
		if name == "" || strings.Contains(name, ",") {
			err = errors.Join(err, fmt.Errorf("neuron %q: a name without commas is needed", name))
		}
		trial := int32(-1)
		if byTrial {
			if name := get(trialColumn); name == "" {
				err = errors.Join(err, errors.New("trial is empty: the number or name of one is needed"))
			} else {
				trial = trials.number(name)
			}
		}
		if err != nil {
			return errors.New(strings.ReplaceAll(err.Error(), "\n", ", "))
		}
		s.neuron, s.trial, s.time = append(s.neuron, neurons.number(name)), append(s.trial, trial), append(s.time, v)
		return nil
	})
	if err == nil && len(s.time) == 0 {
		err = &Error{File: path, Problems: []string{"there are no spikes in it"}}
	}
	s.neurons, s.trials = neurons.names, trials.names
	return s, err
}

// only are the entries of a map with these keys.
func only(m map[string]string, keys ...string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		if v, ok := m[k]; ok {
			out[k] = v
		}
	}
	return out
}

// ordered sorts names, as numbers where all are whole numbers.
func ordered(names []string) []string {
	out := slices.Clone(names)
	numbers := map[string]int64{}
	for _, n := range out {
		v, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			slices.Sort(out)
			return out
		}
		numbers[n] = v
	}
	slices.SortFunc(out, func(a, b string) int {
		if c := numbers[a] - numbers[b]; c != 0 {
			return int(max(-1, min(1, c)))
		}
		return strings.Compare(a, b)
	})
	return out
}

// windows are the trials.
func (s *spikes) windows(r *Recording, path string, o TableOptions) ([]window, error) {
	if o.Trials != "" {
		r.Files = append(r.Files, o.Trials)
		return s.readWindows(o.Trials, o)
	}
	wrong := &Error{}
	if len(s.trials) == 0 {
		wrong.add("%s has no column %s: --trials is needed, a table of when each trial starts and stops", path, trialColumn)
	}
	if o.Duration == 0 {
		wrong.add("--duration is needed, the seconds that a trial lasts, or --trials, a table of when each one starts and stops")
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, "a trial without a spike is not known where there is no table of trials")
	var out []window
	for _, name := range ordered(s.trials) {
		out = append(out, window{name: name, stop: o.Duration})
	}
	return out, nil
}

func (s *spikes) readWindows(path string, o TableOptions) ([]window, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	defer f.Close()
	byTrial := len(s.trials) > 0
	need, may := []string{stopColumn}, []string{conditionColumn, startColumn}
	if byTrial {
		need = append(need, trialColumn)
	} else {
		need, may = append(need, startColumn), append(may, trialColumn)
	}
	if o.Duration > 0 { // a stop is the start and this, whatever the table says
		need, may = slices.DeleteFunc(need, func(c string) bool { return c == stopColumn }), append(may, stopColumn)
	}
	t, err := openTable(path, f, need, may, only(o.Columns, trialColumn, startColumn, stopColumn, conditionColumn))
	if err != nil {
		return nil, err
	}
	_, conditions := t.columns[conditionColumn]
	var out []window
	seen := map[string]bool{}
	err = t.each(func(_ int, get func(string) string) error {
		w := window{name: strings.Clone(get(trialColumn)), condition: strings.Clone(get(conditionColumn))}
		var problem error
		if text := get(startColumn); text != "" || !byTrial {
			w.start, problem = o.seconds(startColumn, text)
		}
		if o.Duration > 0 {
			w.stop = w.start + o.Duration
		} else {
			stop, err := o.seconds(stopColumn, get(stopColumn))
			problem = errors.Join(problem, err)
			w.stop = stop
		}
		switch {
		case problem != nil:
			return errors.New(strings.ReplaceAll(problem.Error(), "\n", ", "))
		case byTrial && w.name == "":
			return errors.New("trial is empty: the number or name of one is needed")
		case byTrial && seen[w.name]:
			return fmt.Errorf("trial %q is there twice", w.name)
		case conditions && w.condition == "":
			return errors.New("condition is empty: the number or name of one is needed")
		case w.stop <= w.start:
			return fmt.Errorf("stop %v s is not after start %v s", w.stop, w.start)
		case width(w, o.BinWidth) < 1:
			return fmt.Errorf("from %v to %v s is less than a bin of %v s", w.start, w.stop, o.BinWidth)
		}
		seen[w.name] = true
		out = append(out, w)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = &Error{File: path, Problems: []string{"there are no trials in it"}}
	}
	return out, err
}

// slack is how much of a bin a time may be short of the next one and still count in it: times in decimals are not exact.
const slack = 1e-6

// width is the number of bins that fit into a trial.
func width(w window, bin float64) float64 { return math.Floor((w.stop-w.start)/bin + slack) }

// count fills the recording.
func (s *spikes) count(r *Recording, path string, windows []window, o TableOptions) error {
	wrong := &Error{File: path}
	r.Trials = len(windows)
	for _, w := range windows {
		n := width(w, r.BinWidth)
		if n < 1 {
			return &Error{Problems: []string{fmt.Sprintf("--duration %v: that is less than a bin, which is %v s wide", w.stop, r.BinWidth)}}
		}
		n = min(n, 1<<40)
		r.Lengths, r.Bins = append(r.Lengths, int64(n)), max(r.Bins, int(n))
	}
	if err := room(r.Trials, r.Bins, len(r.Neurons)); err != nil {
		return &Error{Problems: []string{err.Error()}}
	}
	r.Counts = make([]float32, r.Trials*r.Bins*len(r.Neurons))
	place := make([]int, len(s.neurons))
	for i, name := range s.neurons {
		place[i] = slices.Index(r.Neurons, name)
	}
	of := map[string]int{}
	for k, w := range windows {
		of[w.name] = k
	}
	trials := make([]int, len(s.trials))
	for i, name := range s.trials {
		k, ok := of[name]
		if !ok {
			wrong.add("trial %q is not in the table of trials, %s", name, r.Files[len(r.Files)-1])
		}
		trials[i] = k
	}
	if err := wrong.err(); err != nil {
		return err
	}
	outside := s.place(r, windows, trials, func(k, bin, i int) {
		r.Counts[(k*r.Bins+bin)*len(r.Neurons)+place[s.neuron[i]]]++
	})
	switch question := s.milliseconds(r, windows, trials, outside, o); {
	case outside == len(s.time):
		first, last := slices.MinFunc(windows, func(a, b window) int { return cmp.Compare(a.start, b.start) }), slices.MaxFunc(windows, func(a, b window) int { return cmp.Compare(a.stop, b.stop) })
		wrong.add("not one of its %d spikes falls into a trial: their times are from %v to %v s, the trials from %v to %v s%s", outside, slices.Min(s.time), slices.Max(s.time), first.start, last.stop, question)
		return wrong
	case outside > 0:
		r.Notes = append(r.Notes, fmt.Sprintf("%d of %d spikes fall into no bin of a trial and were left out%s", outside, len(s.time), question))
	}
	if conditions := names(windows); conditions != nil {
		numbers := !slices.ContainsFunc(conditions, func(c string) bool { _, err := strconv.ParseUint(c, 10, 31); return err != nil })
		return r.condition(conditions, numbers)
	}
	return nil
}

// place calls with the trial and bin of every spike that falls into one, and returns how many fall into none. trials are the places of the spikes' own trials.
func (s *spikes) place(r *Recording, windows []window, trials []int, with func(trial, bin, spike int)) (outside int) {
	put := func(k, i int) bool {
		bin := math.Floor((s.time[i]-windows[k].start)/r.BinWidth + slack)
		if bin < 0 || bin >= float64(r.Lengths[k]) {
			return false
		}
		with(k, int(bin), i)
		return true
	}
	if len(s.trials) == 0 {
		return s.cut(windows, put)
	}
	for i := range s.time {
		if !put(trials[s.trial[i]], i) {
			outside++
		}
	}
	return outside
}

// milliseconds asks, in brackets with a space before them, whether the times are in milliseconds, where most spikes are in no trial and many of them would be then; else it is empty.
func (s *spikes) milliseconds(r *Recording, windows []window, trials []int, outside int, o TableOptions) string {
	if outside <= len(s.time)/2 || slices.Contains(o.Milliseconds, timeColumn) {
		return ""
	}
	scaled := *s
	scaled.time = make([]float64, len(s.time))
	for i, t := range s.time {
		scaled.time[i] = t / 1000
	}
	inside := len(s.time) - scaled.place(r, windows, trials, func(int, int, int) {})
	if inside <= len(s.time)/4 || inside < 5*(len(s.time)-outside) {
		return ""
	}
	return " (are the times of the spikes in milliseconds? then --milliseconds time is needed)"
}

// cut counts the spikes of one clock in the trials that they fall into, and returns how many fall into none.
func (s *spikes) cut(windows []window, put func(trial, spike int) bool) (outside int) {
	order := make([]int, len(s.time))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case s.time[a] < s.time[b]:
			return -1
		case s.time[a] > s.time[b]:
			return 1
		}
		return 0
	})
	in := make([]bool, len(s.time))
	for k, w := range windows {
		from, _ := slices.BinarySearchFunc(order, w.start, func(i int, t float64) int {
			if s.time[i] < t-1e-3 { // put decides; this only leaves out what is far
				return -1
			}
			return 1
		})
		for _, i := range order[from:] {
			if s.time[i] > w.stop {
				break
			}
			if put(k, i) {
				in[i] = true
			}
		}
	}
	for _, is := range in {
		if !is {
			outside++
		}
	}
	return outside
}

// names are the trials' conditions, nil where they have none.
func names(windows []window) []string {
	out := make([]string, len(windows))
	for i, w := range windows {
		if w.condition == "" {
			return nil
		}
		out[i] = w.condition
	}
	return out
}
