package component

// Reporter receives what a long call has to say while it runs. Its methods return at once or hold the caller back for a moment; they
// may be called from several goroutines. A cancelled call is learnt of from the context, not from here.
type Reporter interface {
	Progress(Progress)
	Metric(Metric)
	Figure(Figure)
	Checkpoint(Checkpoint)
}

// Progress says how far a call has come.
type Progress struct {
	// Phase is what is being done, e.g. "epoch".
	Phase string
	// Done and Total are in units of the phase; Total is 0 where it is not known.
	Done, Total int64
	// Loss is the current loss, NaN where there is none.
	Loss float64
}

// Metric is one value of a curve over training, e.g. "train/loss" at the end of an epoch.
type Metric struct {
	// Name, with a slash between the split and the quantity.
	Name string
	// Step is the optimiser's step, Epoch the epoch, both counted from 0.
	Step, Epoch int64
	Value       float64
}

// Checkpoint announces a file in the instance's private folder, complete and under its final name.
type Checkpoint struct {
	// File is the name within [Env].Dir.
	File string
	// SHA256 of the file, in hexadecimal.
	SHA256 string
	// Step at which it was taken.
	Step int64
	// Best is true for the checkpoint with the best validation loss so far.
	Best bool
}

// Discard is a Reporter that drops everything.
type Discard struct{}

var _ Reporter = Discard{}

// Progress does nothing.
func (Discard) Progress(Progress) {}

// Metric does nothing.
func (Discard) Metric(Metric) {}

// Figure does nothing.
func (Discard) Figure(Figure) {}

// Checkpoint does nothing.
func (Discard) Checkpoint(Checkpoint) {}

// Health is how an instance or a whole plugin is doing.
type Health struct {
	// Ready is false while a plugin starts or drains.
	Ready bool
	// Last is the last progress of each running call, by instance; Age how long ago it was, in seconds.
	Last map[string]Progress
	Age  map[string]float64
}

// Better says which way a metric is better.
type Better string

// The directions.
const (
	Higher  Better = "higher"
	Lower   Better = "lower"
	Neither Better = "neither"
)

// Result is one number that a comparator or a task's score reports.
type Result struct {
	// Metric is the quantity's name, e.g. "rate_r2".
	Metric string
	// Subject is the label of what was measured, Reference of what it was measured against; Reference may be empty.
	Subject, Reference string
	// Value is NaN where it cannot be had; then Reason says why.
	Value float64
	// Low and High bound the 95% interval, NaN where there is none.
	Low, High float64
	// Null is the value under the null hypothesis (e.g. shuffled trials), NaN where there is none.
	Null   float64
	Unit   string
	Better Better
	// N is the number of trials (or other samples) behind the value.
	N int64
	// Reason says why there is no value, or what limits it; empty otherwise.
	Reason string
}
