package task

import (
	"slices"
	"sort"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// Splits are the numbers of a task's trials that are to train and to validate on, each of which rises; together they are all from 0 on.
type Splits struct{ Train, Valid []int64 }

// NewSplits takes the first four of five trials of a random order to train on.
func NewSplits(order []int) Splits {
	numbers := make([]int64, len(order))
	for i, k := range order {
		numbers[i] = int64(k)
	}
	cut, _ := SplitSizes(len(numbers))
	s := Splits{numbers[:cut], numbers[cut:]}
	slices.Sort(s.Train)
	slices.Sort(s.Valid)
	return s
}

// SplitSizes are the sizes of the splits that NewSplits makes of so many trials.
func SplitSizes(trials int) (train, valid int) {
	train = trials * 4 / 5
	return train, trials - train
}

// Trials is the number of trials of a split, and the number of the i-th; a split that there is not is an InvalidArgumentError.
func (s Splits) Trials(split Split) (n int, number func(i int) int64, err error) {
	switch split {
	case Train:
		return len(s.Train), func(i int) int64 { return s.Train[i] }, nil
	case Valid:
		return len(s.Valid), func(i int) int64 { return s.Valid[i] }, nil
	case All:
		return len(s.Train) + len(s.Valid), func(i int) int64 { return int64(i) }, nil
	}
	return 0, nil, component.Invalid("split", "%q is not allowed: train, valid or all", split)
}

// Find is the place of a trial in a split of n trials, the i-th of which has the number number(i), which rises; ok is false where it is not one of them.
func Find(n int, number func(i int) int64, trial int64) (i int, ok bool) {
	i = sort.Search(n, func(i int) bool { return number(i) >= trial })
	return i, i < n && number(i) == trial
}
