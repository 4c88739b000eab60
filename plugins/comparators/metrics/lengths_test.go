package metrics

import (
	"errors"
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestLengthsOfTheModelAlone gives lengths to the fitted subject, as a comparator may get them, and to both: the bins that both have are compared.
func TestLengthsOfTheModelAlone(t *testing.T) {
	with := func(subjects ...int) comparator.Outcome {
		req := simulated(12, 7, 30, 3, 4, 8, 6)
		for _, i := range subjects {
			s := &req.Subjects[i]
			for _, set := range []*tensor.Set{&s.Train, &s.Valid} {
				l := tensor.NewInt(comparator.Lengths, (*set)[0].Rows())
				for k := range l.I64 {
					l.I64[k] = int64(10 + k%5)
				}
				*set = append(*set, l)
			}
		}
		return compare(t, param.Values{"bootstrap": 0, "null_shuffles": 1}, req)
	}
	alone, both := with(1), with(0, 1)
	for _, metric := range []string{"rate_r2", "state_r2", "state_r2_reverse", "input_r2", "cycle_con", "co_bps"} {
		a, b := opened.Find(t, alone, metric, "model").Value, opened.Find(t, both, metric, "model").Value
		if !(math.Abs(a-b) < 1e-9) {
			t.Errorf("%s is %v with lengths of the model alone, %v with those of both", metric, a, b)
		}
	}
}

// TestLengthsWithoutArrays has a truth with lengths, too few of them, and nothing else.
func TestLengthsWithoutArrays(t *testing.T) {
	req := simulated(12, 7, 30, 3, 4, 8, 6)
	req.Subjects[0].Train, req.Subjects[0].Valid = tensor.Set{tensor.NewInt(comparator.Lengths, 3)}, nil
	if _, err := open(t, 1, nil).Compare(t.Context(), req, nil); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("error is %v", err)
	}
}
