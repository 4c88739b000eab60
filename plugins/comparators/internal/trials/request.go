package trials

import (
	"fmt"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Split says which trials.
type Split string

// The splits.
const (
	Train Split = "train"
	Valid Split = "valid"
)

// Trials are the trials of a split in words.
func (s Split) Trials() string {
	if s == Train {
		return "training trials"
	}
	return "validation trials"
}

// Request is what a comparator was asked, checked. It is used by one goroutine.
type Request struct {
	Subjects []comparator.Subject
	// Reference is the truth or recording, nil where there is none.
	Reference *comparator.Subject
	// Sizes are the numbers of trials of the splits.
	Sizes map[Split]int
	// known caches arrays that were looked at.
	known map[string]found
}

type found struct {
	series Series
	err    error
}

// Open checks the labels, roles and the shapes of the arrays of a request. What is wrong is an InvalidArgumentError.
func Open(req comparator.Request) (*Request, error) {
	if err := CheckSubjects(req.Subjects); err != nil {
		return nil, err
	}
	r := &Request{Subjects: req.Subjects, Sizes: map[Split]int{}, known: map[string]found{}}
	if req.Subjects[0].Role != comparator.Fitted {
		r.Reference = &r.Subjects[0]
	}
	for _, which := range []Split{Train, Valid} {
		n, err := CheckArrays(r.Subjects, 0, which)
		if err != nil {
			return nil, err
		}
		r.Sizes[which] = n
	}
	return r, nil
}

// CheckLabels reports labels that are missing or there twice, as an InvalidArgumentError.
func CheckLabels(subjects []comparator.Subject) error {
	if len(subjects) == 0 {
		return component.Invalid("subjects", "none are given: at least 1 is needed")
	}
	labels := map[string]bool{}
	for i, s := range subjects {
		if s.Label == "" || labels[s.Label] {
			return component.Invalid(fmt.Sprintf("subjects[%d].label", i), "%q is empty or given twice", s.Label)
		}
		labels[s.Label] = true
	}
	return nil
}

// CheckSubjects reports labels and roles that contradict each other, as an InvalidArgumentError.
func CheckSubjects(subjects []comparator.Subject) error {
	if err := CheckLabels(subjects); err != nil {
		return err
	}
	for i, s := range subjects {
		path := fmt.Sprintf("subjects[%d]", i)
		switch {
		case s.Role != comparator.Fitted && s.Role != comparator.Truth && s.Role != comparator.Recording:
			return component.Invalid(path+".role", "%q is not allowed: truth, recording or fitted", s.Role)
		case s.Role != comparator.Fitted && i > 0:
			return component.Invalid(path+".role", "%s %q is not the first subject: there is one truth or recording at most, and it comes first", s.Role, s.Label)
		case s.HeldIn < 0 || s.InputChannels < 0:
			return component.Invalid(path, "held-in neurons %d and input channels %d must not be negative", s.HeldIn, s.InputChannels)
		}
	}
	return nil
}

// CheckArrays compares the numbers of trials and bins of all arrays of a split of subjects, whose first is number from of a request, and returns the number of trials.
func CheckArrays(subjects []comparator.Subject, from int, which Split) (int, error) {
	trials, bins, first := -1, -1, ""
	for i, s := range subjects {
		path := fmt.Sprintf("subjects[%d].%s", from+i, which)
		set := Arrays(s, which)
		if err := set.Check(); err != nil {
			return 0, component.Invalid(path, "%v", err)
		}
		for _, name := range []string{comparator.Latents, comparator.State, comparator.Rates, comparator.Spikes, comparator.Inputs, comparator.TrueInputs, comparator.Targets} {
			a := set.Get(name)
			if a == nil {
				continue
			}
			if len(a.Shape) != 3 {
				return 0, component.Invalid(path+"."+name, "shape %v is not allowed: (trials, bins, channels)", a.Shape)
			}
			if trials < 0 {
				trials, bins, first = a.Shape[0], a.Shape[1], path+"."+name
			}
			if a.Shape[0] != trials || a.Shape[1] != bins {
				return 0, component.Invalid(path+"."+name, "shape %v does not go with %d trials of %d bins, as in %s", a.Shape, trials, bins, first)
			}
		}
	}
	// The lengths of one subject may be those of all, so they are looked at once the arrays of all are known.
	for i, s := range subjects {
		path := fmt.Sprintf("subjects[%d].%s", from+i, which)
		l := Arrays(s, which).Get(comparator.Lengths)
		if l == nil {
			continue
		}
		if len(l.Shape) != 1 || l.I64 == nil {
			return 0, component.Invalid(path+"."+comparator.Lengths, "shape %v of %s is not allowed: (trials), int64", l.Shape, l.DType())
		}
		if trials >= 0 && l.Shape[0] != trials {
			return 0, component.Invalid(path+"."+comparator.Lengths, "%d lengths for %d trials", l.Shape[0], trials)
		}
		for k, n := range l.I64 {
			if n < 0 || (bins >= 0 && n > int64(bins)) {
				return 0, component.Invalid(path+"."+comparator.Lengths, "trial %d has length %d: 0..%d are allowed", k, n, bins)
			}
		}
	}
	return max(trials, 0), nil
}

// Arrays are those of a split.
func Arrays(s comparator.Subject, which Split) tensor.Set {
	if which == Train {
		return s.Train
	}
	return s.Valid
}

// lengths are those of the reference, or of the subject itself.
func (r *Request) lengths(s *comparator.Subject, which Split) *tensor.Tensor {
	if r.Reference != nil {
		if l := Arrays(*r.Reference, which).Get(comparator.Lengths); l != nil {
			return l
		}
	}
	return Arrays(*s, which).Get(comparator.Lengths)
}

// Array finds an array of a subject and checks that it has trials, bins, channels and finite values. It is an [Omission] where it does not.
func (r *Request) Array(s *comparator.Subject, which Split, name string) (Series, error) {
	return r.Cached(s, string(which)+"\x00"+name, func() (Series, error) {
		a := Arrays(*s, which).Get(name)
		if a == nil {
			return Series{}, Omit("%s has no %s of %s", s.Label, Title(name), which.Trials())
		}
		return r.cut(s, which, a)
	})
}

// Cached keeps what is made of a subject's arrays under a key.
func (r *Request) Cached(s *comparator.Subject, key string, of func() (Series, error)) (Series, error) {
	key = s.Label + "\x00" + key
	f, ok := r.known[key]
	if !ok {
		f.series, f.err = of()
		r.known[key] = f
	}
	return f.series, f.err
}

// Both finds an array's training and validation trials.
func (r *Request) Both(s *comparator.Subject, name string) ([2]Series, error) {
	a, err := r.Array(s, Train, name)
	if err != nil {
		return [2]Series{}, err
	}
	b, err := r.Array(s, Valid, name)
	if err != nil {
		return [2]Series{}, err
	}
	if a.Width() != b.Width() {
		return [2]Series{}, component.Invalid("subjects", "%s of %s have %d channels in training and %d in validation trials", Title(name), s.Label, a.Width(), b.Width())
	}
	return [2]Series{a, b}, nil
}

// Forget drops what belongs to the subjects alone; what was found of the reference is kept.
func (r *Request) Forget() {
	for key := range r.known {
		if r.Reference == nil || !strings.HasPrefix(key, r.Reference.Label+"\x00") {
			delete(r.known, key)
		}
	}
}

// cut makes a series of an array of a subject.
func (r *Request) cut(s *comparator.Subject, which Split, a *tensor.Tensor) (Series, error) {
	x := Series{Data: a, Lengths: make([]int, a.Shape[0])}
	l := r.lengths(s, which)
	for k := range x.Lengths {
		x.Lengths[k] = a.Shape[1]
		if l != nil {
			x.Lengths[k] = min(int(l.I64[k]), a.Shape[1])
		}
		x.Ragged = x.Ragged || x.Lengths[k] != x.Lengths[0]
	}
	what := fmt.Sprintf("%s of %s (%s)", Title(a.Name), s.Label, which.Trials())
	if a.Shape[2] == 0 || x.Total() == 0 {
		return Series{}, Omit("%s: shape %v holds nothing", what, a.Shape)
	}
	return x, x.CheckFinite(what)
}

// Title is how an array is called in a reason.
func Title(name string) string {
	if name == comparator.TrueInputs {
		return "inputs"
	}
	return name
}
