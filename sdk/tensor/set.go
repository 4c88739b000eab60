package tensor

import "fmt"

// Set is an ordered list of tensors with distinct names: a model's weights, or the arrays of a block of trials.
type Set []*Tensor

// Get returns the tensor of that name, nil where there is none.
func (s Set) Get(name string) *Tensor {
	for _, t := range s {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Names returns the names in order.
func (s Set) Names() []string {
	out := make([]string, len(s))
	for i, t := range s {
		out[i] = t.Name
	}
	return out
}

// Check checks every tensor and reports a name that is empty or given twice.
func (s Set) Check() error {
	seen := make(map[string]bool, len(s))
	for _, t := range s {
		if t == nil || t.Name == "" {
			return fmt.Errorf("%w: a tensor without a name", ErrShape)
		}
		if seen[t.Name] {
			return fmt.Errorf("%w: %q is given twice", ErrShape, t.Name)
		}
		seen[t.Name] = true
		if err := t.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Bytes is the memory that the elements take.
func (s Set) Bytes() int64 {
	var n int64
	for _, t := range s {
		n += int64(t.Len()) * int64(t.DType().Size())
	}
	return n
}
