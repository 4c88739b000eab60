package pipeline

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/host/store"
)

// ErrStages is wrapped by the error of a run in which stages failed.
var ErrStages = errors.New("stages failed")

// StageError is a stage that failed.
type StageError struct {
	Stage string
	Err   error
}

// Error names the stage.
func (e *StageError) Error() string { return e.Stage + ": " + e.Err.Error() }

// Unwrap is why it failed.
func (e *StageError) Unwrap() error { return e.Err }

// MoreError stands for failures that are not told.
type MoreError struct{ N int }

// Error says how many there are.
func (e *MoreError) Error() string {
	return fmt.Sprintf("and %d more, which the provenance lists", e.N)
}

// listed is how many failures an error tells; the provenance has all.
const listed = 10

// Outcome is how one stage of a run ended.
type Outcome struct {
	Stage   string
	Status  Status
	Key     string
	Entry   store.Entry
	Err     error
	Elapsed time.Duration
	Threads int
	// Retried is the error of the first attempt where there was a second.
	Retried error
	// Stopped is true where a limit of time ended the stage's training: the entry is what came of it so far, and the key its own.
	Stopped bool
	// From is the file with the weights that the stage's training begins with; empty for none.
	From string
}

// cut reports whether the stage was ended or kept from running by the end of the run's context.
func (o Outcome) cut() bool {
	return o.Status == Interrupted || errors.Is(o.Err, context.Canceled) || errors.Is(o.Err, context.DeadlineExceeded)
}

// recipient is told of stages as they run, by several goroutines.
type recipient interface {
	// begins is called before a stage runs that is not stored.
	begins(*stage)
	// live is the folder for the curves of a stage that trains, while it does; empty where nobody wants them.
	live(*stage) string
	// ended is called when the outcome of a stage is known. What it returns makes a stage that was done a failed one.
	ended(*stage, Outcome) error
}

// Run runs every stage. It returns the outcome of every stage, in order; the error wraps ErrStages where stages failed, and is the context's where the run was cut
// short. A failure keeps the stages that depend on it from running; the others finish.
func (g *Graph) Run(ctx context.Context) ([]Outcome, error) { return g.run(ctx, nobody{}) }

type nobody struct{}

func (nobody) begins(*stage)               {}
func (nobody) live(*stage) string          { return "" }
func (nobody) ended(*stage, Outcome) error { return nil }

// schedule is what is known of a run's stages. It belongs to one goroutine.
type schedule struct {
	graph *Graph
	// place of each stage in the graph, waits is how many of its needs are not done, dependents are what waits for it.
	place      map[*stage]int
	waits      []int
	dependents [][]int
	ready      queue
	outcomes   []Outcome
	left       int
}

// queue holds the places of stages that may run, the first of the graph first, so that a point that has begun is completed before others begin.
type queue []int

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i] < q[j] }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(v any)        { *q = append(*q, v.(int)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (g *Graph) schedule() *schedule {
	c := &schedule{
		graph: g, place: make(map[*stage]int, len(g.stages)), waits: make([]int, len(g.stages)), dependents: make([][]int, len(g.stages)),
		outcomes: make([]Outcome, len(g.stages)), left: len(g.stages),
	}
	for i, s := range g.stages {
		c.place[s] = i
		c.waits[i] = len(s.needs)
		for _, need := range s.needs {
			k := c.place[need]
			c.dependents[k] = append(c.dependents[k], i)
		}
		if len(s.needs) == 0 {
			c.ready = append(c.ready, i)
		}
	}
	heap.Init(&c.ready)
	return c
}

// news is what a stage tells the schedule: that it waits for another process, without threads, or its outcome.
type news struct {
	place   int
	waits   bool
	outcome Outcome
}

// maxWaiting is how many stages of a run may wait for other processes at a time, beside those that run.
const maxWaiting = 16

// run runs the stages, as many goroutines at a time as there are jobs, and a few that wait for other processes. A stage that another process runs makes
// room for those that can be run, so that two hosts with the same study share its work between them.
func (g *Graph) run(ctx context.Context, to recipient) ([]Outcome, error) {
	c := g.schedule()
	jobs := g.host.Budget.Jobs()
	told := make(chan news, 2*(jobs+maxWaiting)) // nobody who tells is held up
	running, waiting := 0, map[int]bool{}
	var going sync.WaitGroup
	defer going.Wait()
	for c.left > 0 {
		if len(c.ready) == 0 || running == jobs || len(waiting) == maxWaiting {
			switch n := <-told; {
			case n.waits:
				waiting[n.place] = true
				running--
			case waiting[n.place]:
				delete(waiting, n.place)
				c.finish(n, to)
			default:
				running--
				c.finish(n, to)
			}
			continue
		}
		i := heap.Pop(&c.ready).(int)
		s := g.stages[i]
		l, err := g.host.Budget.lease(ctx, g.host.Budget.share(s.beside))
		if err != nil {
			c.finish(news{place: i, outcome: g.skipped(s, err, to)}, to)
			continue
		}
		// The outcomes that a stage's inputs come from are known and do not change any more.
		inputs := make(map[*stage]store.Entry, len(s.needs))
		for _, need := range s.needs {
			inputs[need] = c.outcomes[c.place[need]].Entry
		}
		running++
		going.Go(func() {
			e := &execution{graph: g, stage: s, inputs: inputs, lease: l, to: to, waits: func() { told <- news{place: i, waits: true} }}
			o := e.execute(ctx)
			l.giveBack()
			told <- news{place: i, outcome: o}
		})
	}
	return c.outcomes, g.verdict(ctx, c.outcomes)
}

// finish takes an outcome, and those of all stages that it keeps from running.
func (c *schedule) finish(n news, to recipient) {
	for due := []news{n}; len(due) > 0; due = due[1:] {
		e := due[0]
		c.outcomes[e.place] = e.outcome
		c.left--
		for _, d := range c.dependents[e.place] {
			c.waits[d]--
			if c.waits[d] > 0 {
				continue
			}
			if err := c.obstacle(d); err != nil {
				due = append(due, news{place: d, outcome: c.graph.skipped(c.graph.stages[d], err, to)})
			} else {
				heap.Push(&c.ready, d)
			}
		}
	}
}

// obstacle says why a stage cannot run whose needs have ended; nil where it can.
func (c *schedule) obstacle(i int) error {
	for _, need := range c.graph.stages[i].needs {
		switch o := c.outcomes[c.place[need]]; {
		case o.Err != nil && o.cut():
			return &cutError{need.name}
		case o.Err != nil:
			return fmt.Errorf("it needs %s", need.name)
		}
	}
	return nil
}

// cutError says that a stage could not run because the run was cut short. It is context.Canceled.
type cutError struct{ need string }

func (e *cutError) Error() string { return fmt.Sprintf("it needs %s, which was interrupted", e.need) }

func (e *cutError) Is(target error) bool { return target == context.Canceled }

func (g *Graph) skipped(s *stage, err error, to recipient) Outcome {
	o := Outcome{Stage: s.name, Status: Skipped, Err: err}
	if folderErr := to.ended(s, o); folderErr != nil {
		g.host.Log.Error("run folder", "stage", s.name, "error", folderErr)
	}
	g.host.Observer.StageChanged(s.name, Skipped, 0, err)
	return o
}

// verdict is the error of a run with these outcomes.
func (g *Graph) verdict(ctx context.Context, outcomes []Outcome) error {
	var failed []error
	for _, o := range outcomes {
		if o.Status == Failed {
			failed = append(failed, &StageError{Stage: o.Stage, Err: o.Err})
		}
	}
	err := failures(failed)
	if cut := ctx.Err(); cut != nil {
		return errors.Join(cut, err)
	}
	return err
}

// failures is an error that wraps ErrStages and tells the first of many; nil where there are none.
func failures(failed []error) error {
	if len(failed) == 0 {
		return nil
	}
	more := len(failed) - listed
	if more > 1 {
		failed = append(failed[:listed:listed], &MoreError{more})
	}
	return errors.Join(append([]error{ErrStages}, failed...)...)
}
