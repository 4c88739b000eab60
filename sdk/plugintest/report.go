package plugintest

import (
	"fmt"
	"time"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// Status is what came of a check.
type Status string

// What comes of a check.
const (
	Passed Status = "pass"
	Failed Status = "fail"
	// NotApplicable: the component does not claim what is checked, or something before it failed.
	NotApplicable Status = "not applicable"
)

// Result is what came of one check.
type Result struct {
	// Component is e.g. "task/clicks"; empty for what is of the plugin as a whole.
	Component string `json:"component,omitempty"`
	// Check is the check's name, and Doc what it holds a component to.
	Check  string `json:"check"`
	Doc    string `json:"doc"`
	Status Status `json:"status"`
	// Problems are what is wrong and what is needed, each a sentence; only of a failed check.
	Problems []string `json:"problems,omitempty"`
	// Note is why a check does not apply, or what was measured; may be empty.
	Note string `json:"note,omitempty"`
	// Took is how long it took.
	Took time.Duration `json:"-"`
}

// Report is what came of all checks, in the order in which they ran.
type Report struct {
	// Plugin and Version are the plugin's own.
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	// Params are the parameters that each component was checked with, where they are not its defaults.
	Params  map[string]param.Values `json:"params,omitempty"`
	Results []Result                `json:"results"`
}

// Count is the number of results of a status.
func (r Report) Count(s Status) int {
	n := 0
	for _, one := range r.Results {
		if one.Status == s {
			n++
		}
	}
	return n
}

// Find returns the result of a check of a component, "" for the plugin.
func (r Report) Find(component, check string) (Result, bool) {
	for _, one := range r.Results {
		if one.Component == component && one.Check == check {
			return one, true
		}
	}
	return Result{}, false
}

// maxProblems bounds what one check says: what is wrong in one trial is wrong in all.
const maxProblems = 8

// Verdict collects what a check finds.
type Verdict struct {
	problems []string
	more     int
	skipped  string
	note     string
}

// Failf adds something that is wrong: what was found, and what is needed.
func (v *Verdict) Failf(format string, args ...any) {
	if len(v.problems) == maxProblems {
		v.more++
		return
	}
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

// Skipf says why the check does not apply.
func (v *Verdict) Skipf(format string, args ...any) { v.skipped = fmt.Sprintf(format, args...) }

// Notef says what was measured.
func (v *Verdict) Notef(format string, args ...any) { v.note = fmt.Sprintf(format, args...) }

// failed reports whether something is wrong so far.
func (v *Verdict) failed() bool { return len(v.problems) > 0 }

// Result is the verdict's.
func (v *Verdict) Result(component, check, doc string, took time.Duration) Result {
	r := Result{Component: component, Check: check, Doc: doc, Status: Passed, Note: v.note, Took: took}
	switch {
	case v.failed():
		r.Status, r.Problems = Failed, v.problems
		if v.more > 0 {
			r.Problems = append(r.Problems, fmt.Sprintf("and %d more of the kind", v.more))
		}
	case v.skipped != "":
		r.Status, r.Note = NotApplicable, v.skipped
	}
	return r
}
