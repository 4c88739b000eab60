package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
)

const tinyStep = "gru/B=40/T=6/I=2/H=5"

func TestBench(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"ctdb-host", "bench", "--threads", "2", "--repeat", "3", "--cases", tinyStep, "--cases", "rnn/B=9/T=3/I=0/H=4/bidirectional", "--cases", tinyStep}
	if status := Main(t.Context(), args, Program{Out: &out, Err: &errs}); status != Success || errs.Len() > 0 {
		t.Fatalf("exit status %d: %s", status, errs.String())
	}
	for _, want := range []string{tinyStep, "rnn/B=9/T=3/I=0/H=4/bidirectional", "GFLOP/s with 1 thread,", "GFLOP/s with 2 threads", "median ms", "speed-up", "%"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), tinyStep); n != 2 {
		t.Errorf("%d rows of a case that was asked for twice, want 2:\n%s", n, out.String())
	}

	out.Reset()
	if status := Main(t.Context(), append(args, "--json"), Program{Out: &out, Err: &errs}); status != Success {
		t.Fatalf("exit status %d: %s", status, errs.String())
	}
	var got struct {
		Program, Processor string
		steptime.Report
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Program == "" || len(got.Peaks) != 2 || len(got.Cases) != 2 || got.Cases[0].Case != tinyStep || len(got.Cases[0].Runs) != 2 || got.Cases[0].Runs[1].Threads != 2 ||
		!(got.Cases[0].Runs[0].MedianMS > 0 && got.Cases[0].Runs[0].PeakShare > 0) || got.Cases[0].Runs[0].Steps != 3 {
		t.Errorf("got %+v", got)
	}

	// One number of threads where one thread is asked for.
	out.Reset()
	if status := Main(t.Context(), []string{"ctdb-host", "bench", "--threads=1", "--repeat=1", "--json", "--cases", tinyStep}, Program{Out: &out, Err: &errs}); status != Success {
		t.Fatalf("exit status %d: %s", status, errs.String())
	}
	got.Report = steptime.Report{}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got.Peaks) != 1 || len(got.Cases[0].Runs) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status := Main(ctx, args, Program{Out: &out, Err: &errs}); status != Interrupted {
		t.Errorf("cancelled: exit status %d, want %d", status, Interrupted)
	}
}

func TestChooseCases(t *testing.T) {
	all := steptime.Cases()
	for _, c := range []struct {
		filters []string
		want    int
	}{{nil, len(all)}, {[]string{"lstm"}, 1}, {[]string{"gru/", "H=64", "lstm"}, 7}, {[]string{tinyStep, "node"}, 2}, {[]string{all[0].Name()}, 1}} {
		got, err := chooseCases(c.filters)
		if err != nil || len(got) != c.want {
			t.Errorf("%q: %d cases, %v, want %d", c.filters, len(got), err, c.want)
		}
		for _, one := range got {
			if slices.Index(got, one) != slices.IndexFunc(got, func(o steptime.Case) bool { return o.Name() == one.Name() }) {
				t.Errorf("%q: %s twice", c.filters, one.Name())
			}
		}
	}
	for _, f := range []string{"", "transformer", "gru/B=0/T=1/I=1/H=1", "gru/B=5"} {
		var usage usageError
		if _, err := chooseCases([]string{f}); !errors.As(err, &usage) {
			t.Errorf("%q: %v", f, err)
		}
	}
}
