package cli

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// shownResults is what `show` prints of a run with some results.
func shownResults(t *testing.T, results ...artifact.Result) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, artifact.ExperimentFile), []byte("version: 1\nname: r\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := (artifact.Results{Metrics: results}).Write(dir); err != nil {
		t.Fatal(err)
	}
	run, err := artifact.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (Program{Out: &out, Err: &out}).printResults(run); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func valueOf(comparator, metric, subject, reference string, value float64, reason string) artifact.Result {
	nan := artifact.Number(math.NaN())
	return artifact.Result{Comparator: comparator, Metric: metric, Subject: subject, Reference: reference, Value: artifact.Number(value), Low: nan, High: nan, Null: nan, Reason: reason}
}

// What is to be kept in mind of a value stands under the table, as what is missing does, gathered by reason and with its reference.
func TestCaveatsUnderTheTable(t *testing.T) {
	nan := math.NaN()
	out := shownResults(t,
		valueOf("dsa", "dsa", "gru", "truth", 0.25, "rank 5 in place of 50"),
		valueOf("dsa", "dsa_gap", "gru", "truth", 0.125, "rank 5 in place of 50"),
		valueOf("dsa", "dsa", "lds", "truth", 0.5, "rank 5 in place of 50"),
		valueOf("dsa", "dsa_gap", "lds", "truth", 0.75, "rank 5 in place of 50"),
		valueOf("spectra", "power", "gru", "truth", nan, "too short"),
		valueOf("spectra", "power", "gru", "lds", 0.5, "the lowest"),
	)
	notes, missing, found := strings.Cut(out, "not computed:\n")
	table, notes, noted := strings.Cut(notes, "notes:\n")
	if !found || !noted || notes != "  dsa: dsa, dsa_gap of gru, lds against truth: rank 5 in place of 50\n  spectra: power of gru against lds: the lowest\n" ||
		missing != "  spectra: power of gru against truth: too short\n" {
		t.Errorf("printed\n%s", out)
	}
	if head, _, _ := strings.Cut(table, "\n"); len(strings.Fields(head)) == 0 || strings.Fields(head)[1] != "against" || strings.Contains(head, "comparison") {
		t.Errorf("header %q: subjects are measured against two references, which are not told apart", head)
	}
	// One reference, the truth, needs no column; the same metric of two comparisons needs one.
	out = shownResults(t, valueOf("fast", "dsa", "gru", "truth", 0.25, ""), valueOf("slow", "dsa", "gru", "truth", 0.5, ""))
	if head := strings.Fields(out); head[0] != "comparison" || head[1] != "subject" || head[2] != "metric" || !strings.Contains(out, "slow") {
		t.Errorf("printed\n%s", out)
	}
	if out := shownResults(t, valueOf("m", "r2", "gru", "truth", 0.25, "")); strings.Contains(out, "notes") || strings.Contains(out, "not computed") || strings.HasPrefix(out, "comparison") {
		t.Errorf("printed\n%s", out)
	}
}

// However much there is to say, it does not flood the terminal; nothing stands in the table where no value is known.
func TestManyOmissions(t *testing.T) {
	var results []artifact.Result
	for i := range 60 {
		results = append(results, valueOf("m", "r2", fmt.Sprint("model-", i), "truth", math.NaN(), fmt.Sprint("reason ", i)))
	}
	out := shownResults(t, results...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != mostMissing+2 || lines[0] != "not computed:" || !strings.Contains(lines[len(lines)-1], "40 more, in "+artifact.ResultsTable) {
		t.Errorf("printed\n%s", out)
	}
}
