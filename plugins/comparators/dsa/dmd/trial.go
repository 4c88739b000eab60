package dmd

import (
	"errors"
	"fmt"
)

// The errors that recordings and options are refused with, always wrapped with what was given and what is allowed.
var (
	// ErrData: a recording that nothing can be fitted to.
	ErrData = errors.New("dmd: unusable recording")
	// ErrOption: an option outside its range, or beyond what the recording holds.
	ErrOption = errors.New("dmd: option not allowed")
)

// Trial is one stretch of a recording, (bins, width) row-major. Trials of one recording may differ in length.
type Trial struct {
	Data  []float64
	Width int
}

// Bins is the number of rows.
func (t Trial) Bins() int {
	if t.Width == 0 {
		return 0
	}
	return len(t.Data) / t.Width
}

func (t Trial) row(i int) []float64 { return t.Data[i*t.Width:][:t.Width] }

// check reports what is wrong with a recording, its trials named as the caller knows them.
func check(what string, trials []Trial) (width int, err error) {
	if len(trials) == 0 {
		return 0, fmt.Errorf("%w: %s: no trials: at least 1 is needed", ErrData, what)
	}
	width = trials[0].Width
	if width < 1 {
		return 0, fmt.Errorf("%w: %s: width %d: at least 1 is needed", ErrData, what, width)
	}
	for k, t := range trials {
		if t.Width != width || len(t.Data)%width != 0 {
			return 0, fmt.Errorf("%w: %s: trial %d holds %d numbers of width %d: whole bins of width %d are needed", ErrData, what, k, len(t.Data), t.Width, width)
		}
		for i, v := range t.Data {
			if v-v != 0 {
				return 0, fmt.Errorf("%w: %s: trial %d, bin %d, dimension %d is %v: all must be finite", ErrData, what, k, i/width, i%width, v)
			}
		}
	}
	return width, nil
}

// Embed joins each bin with those before it, the newest first: row t is x(t), x(t-interval), ..., x(t-(delays-1) interval), for every bin that has
// so many before it. Each trial loses its first (delays-1) interval bins; one that is not longer has no rows.
func Embed(trials []Trial, delays, interval int) ([]Trial, error) {
	width, err := check("x", trials)
	if err != nil {
		return nil, err
	}
	if err := checkDelays(delays, interval); err != nil {
		return nil, err
	}
	out := make([]Trial, len(trials))
	for k, t := range trials {
		out[k] = Trial{Width: width * delays}
		rows := t.Bins() - (delays-1)*interval
		if rows <= 0 {
			continue
		}
		out[k].Data = make([]float64, rows*width*delays)
		for r := range rows {
			embedRow(out[k].row(r), t, r, delays, interval)
		}
	}
	return out, nil
}

func checkDelays(delays, interval int) error {
	if delays < 1 || delays > 1<<20 || interval < 1 || interval > 1<<20 {
		return fmt.Errorf("%w: delays %d, interval %d: both must be 1..%d", ErrOption, delays, interval, 1<<20)
	}
	return nil
}

// embedRow writes embedded row r of a trial.
func embedRow(to []float64, t Trial, r, delays, interval int) {
	for i := range delays {
		copy(to[i*t.Width:][:t.Width], t.row(r+(delays-1-i)*interval))
	}
}
