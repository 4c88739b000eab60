package dmd

import (
	"fmt"
	"math"
)

// Rank says how many whitened coordinates an operator acts on. At most one of the four criteria is set; the zero value keeps all that the data has.
type Rank struct {
	// Number of coordinates.
	Number int
	// Threshold keeps those whose singular value is above it.
	Threshold float64
	// Explained keeps the fewest whose squared singular values sum to at least this share of the whole, in (0, 1].
	Explained float64
	// Optimal keeps those above the threshold that recovers a low-rank matrix best from white noise of unknown level (Gavish & Donoho 2014).
	Optimal bool
	// AtMost lowers Number to what the data holds where that is less, instead of refusing.
	AtMost bool
	// Floor is the share of the largest singular value below which the others are taken for rounding, e.g. 1e-6 for data that was rounded to float32; 0: what
	// float64 leaves.
	Floor float64
}

func (r Rank) check() error {
	set := 0
	for _, is := range []bool{r.Number != 0, r.Threshold != 0, r.Explained != 0, r.Optimal} {
		if is {
			set++
		}
	}
	switch {
	case set > 1:
		return fmt.Errorf("%w: rank: number %d, threshold %v, explained %v, optimal %v: one criterion at most", ErrOption, r.Number, r.Threshold, r.Explained, r.Optimal)
	case !(r.Floor >= 0 && r.Floor < 1):
		return fmt.Errorf("%w: rank: floor %v: in [0, 1)", ErrOption, r.Floor)
	case r.Number < 0:
		return fmt.Errorf("%w: rank: number %d: at least 1, or 0 for all", ErrOption, r.Number)
	case !(r.Threshold >= 0) || math.IsInf(r.Threshold, 0):
		return fmt.Errorf("%w: rank: threshold %v: above 0, or 0 for none", ErrOption, r.Threshold)
	case !(r.Explained >= 0 && r.Explained <= 1):
		return fmt.Errorf("%w: rank: explained share %v: in (0, 1], or 0 for none", ErrOption, r.Explained)
	}
	return nil
}

// numerical is the number of singular values that stand above rounding, of an embedding of so many rows and columns.
func numerical(s []float64, rows, cols int, share float64) int {
	if len(s) == 0 {
		return 0
	}
	floor := s[0] * max(share, float64(max(rows, cols))*0x1p-52)
	n := 0
	for n < len(s) && s[n] > floor {
		n++
	}
	return n
}

// of chooses from the singular values s of an embedding, descending, of which held stand above rounding; total is the sum of all squares.
func (r Rank) of(s []float64, held int, total float64, rows, cols int) (int, error) {
	n := held
	switch {
	case r.Number > 0:
		if r.Number > held && !r.AtMost {
			return 0, fmt.Errorf("%w: rank: number %d: the embedded data (%d rows, %d columns) has rank %d", ErrOption, r.Number, rows, cols, held)
		}
		return min(r.Number, held), nil
	case r.Threshold > 0:
		for n = 0; n < held && s[n] > r.Threshold; {
			n++
		}
		if n == 0 {
			return 0, fmt.Errorf("%w: rank: threshold %v: the largest singular value is %v", ErrOption, r.Threshold, s[0])
		}
	case r.Explained > 0:
		sum := 0.0
		for n = 0; n < held && sum < r.Explained*total; n++ {
			sum += s[n] * s[n]
		}
	case r.Optimal:
		cut := HardThreshold(rows, cols, median(s))
		for n = 0; n < held && s[n] > cut; {
			n++
		}
		if n == 0 {
			return 0, fmt.Errorf("%w: rank: optimal threshold %v: no singular value is above it, the largest is %v: the data looks like white noise", ErrOption, cut, s[0])
		}
	}
	return n, nil
}

// median of values in descending order.
func median(s []float64) float64 {
	n := len(s)
	return (s[n/2] + s[(n-1)/2]) / 2
}

// HardThreshold is the singular value above which components of a (rows, cols) matrix are kept, given the median of its singular values: the
// threshold of least mean squared error, lambda(beta) / sqrt(mu(beta)) times the median, with beta the aspect ratio and mu the median of the Marchenko-Pastur
// distribution (Gavish & Donoho 2014, equations 3, 6 and 8).
func HardThreshold(rows, cols int, median float64) float64 {
	beta := float64(min(rows, cols)) / float64(max(rows, cols))
	lambda := math.Sqrt(2*(beta+1) + 8*beta/(beta+1+math.Sqrt(beta*beta+14*beta+1)))
	return lambda / math.Sqrt(marchenkoPasturMedian(beta)) * median
}

// marchenkoPasturMedian by bisection over the integral of the density.
func marchenkoPasturMedian(beta float64) float64 {
	low, high := (1-math.Sqrt(beta))*(1-math.Sqrt(beta)), (1+math.Sqrt(beta))*(1+math.Sqrt(beta))
	// With t = centre + half sin(phi) the density times dt is smooth at both ends.
	centre, half := (low+high)/2, (high-low)/2
	below := func(x float64) float64 {
		to := math.Asin(max(-1, min(1, (x-centre)/half)))
		const steps = 2000
		h := (to + math.Pi/2) / steps
		sum := 0.0
		for i := range steps {
			phi := -math.Pi/2 + (float64(i)+0.5)*h
			c := half * math.Cos(phi)
			sum += c * c / (2 * math.Pi * beta * (centre + half*math.Sin(phi)))
		}
		return sum * h
	}
	a, b := low, high
	for range 60 {
		if mid := (a + b) / 2; below(mid) < 0.5 {
			a = mid
		} else {
			b = mid
		}
	}
	return (a + b) / 2
}
