package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// ErrElsewhere is what an environment returns when the episode failed in another of its shards, which has the error.
var ErrElsewhere = errors.New("link: the episode failed in another shard")

// Patience is how long a task in another process may take for one call unless Options say otherwise. It is there so that a task that hangs is named in an error and does not
// stand still for ever: a call is one bin of at most a few hundred trials, so that one that takes minutes will not come back. Models have no parameter for it, since with
// their parameters their checkpoints would change too; who wants to know sooner has the host end a stage without progress (ctdb-host run --stall).
const Patience = 5 * time.Minute

// Options are what a link may be told.
type Options struct {
	// Threads is the number of shards that compute at once, at least 1.
	Threads int
	// Together is the most trials that step together, rounded down to whole shards, at least one shard; fewer where a batch would else not occupy all threads. 0 is at most 4 shards of a task in this
	// process, at most 256 trials of one in another.
	Together int
	// Patience bounds a call on a task in another process; 0 is the constant.
	Patience time.Duration
	// Record keeps the arrays that the task's Loop.Recorded names, of runs without a tape, see Env.Recorded.
	Record bool
}

// Link is a connection to a closed-loop task.
type Link struct {
	ctx     context.Context
	task    task.ClosedLoop
	spec    task.Spec
	name    string
	distant bool
	o       Options
	slots   chan struct{} // held by those who compute

	mu      sync.Mutex
	forming map[int]*party // by their number, those that not all shards have joined
	running map[*party]struct{}
	failed  error
}

// The trials of a party whose task is in another process, and the shards of one whose task is in this: where more trials step together fewer calls are made, and more memory is needed for tapes,
// about 0.8 MB a trial for a GRU of 128 units and 300 bins. BenchmarkClosedLoop in package speed of the built-in plugins has what a step takes.
const (
	partyTrials = 256
	partyShards = 4
)

// leastShards is the number of shards that a batch is cut into at least, if it is large enough, so that many threads find work.
const leastShards = 32

// ShardRows is the number of trials in the shards of a batch in closed loop: kernel.ShardRows, or two or four times as many where that leaves 32 shards. Between the bins of each something is to be
// done, which larger shards have less of.
func ShardRows(batch int) int {
	rows := kernel.ShardRows
	for rows < kernel.MaxShardRows && kernel.ShardCount(batch, 2*rows) >= leastShards {
		rows *= 2
	}
	return rows
}

// New connects to a task with that specification, whose calls ctx ends. It must be closed.
func New(ctx context.Context, t task.ClosedLoop, spec task.Spec, o Options) (*Link, error) {
	if spec.Loop == nil {
		return nil, component.Invalid("task", "is not closed-loop")
	}
	l := &Link{ctx: ctx, task: t, spec: spec, name: "the task", o: o, forming: map[int]*party{}, running: map[*party]struct{}{}}
	if d, ok := t.(task.Distant); ok {
		l.name, l.distant = d.Distant(), true
	}
	l.o.Threads = max(1, o.Threads)
	l.slots = make(chan struct{}, l.o.Threads)
	if l.o.Patience == 0 {
		l.o.Patience = Patience
	}
	return l, nil
}

// Workers is the number of shards of a batch that must be taken up at once, in order: those of as many parties as are at it at once.
func (l *Link) Workers(batch int) int { return workers(batch, l.shards(batch), l.o.Threads, l.distant) }

// Workers is that of links as New makes them by default, on so many threads, to tasks in another process or in this: what memory must suffice for.
func Workers(batch, threads int, distant bool) int {
	return workers(batch, shared(batch, 0, threads, distant), threads, distant)
}

func workers(batch, each, threads int, distant bool) int {
	return min(shardCount(batch), parties(threads, distant)*each)
}

// parties is how many are at it at once: one for each thread, and never one alone that waits for messages.
func parties(threads int, distant bool) int {
	if distant {
		return max(2, threads)
	}
	return threads
}

// shards is the number of shards in a party.
func (l *Link) shards(batch int) int { return shared(batch, l.o.Together, l.o.Threads, l.distant) }

// shared is the number of shards in a party that is to have so many trials (0: as many as is best). A batch is shared out among all threads; where that costs no messages each has two parties at
// least, so that all end at about the same time.
func shared(batch, together, threads int, distant bool) int {
	n, all := shardCount(batch), parties(threads, distant)
	most, fair := partyShards, n/(2*all)
	if distant {
		most, fair = partyTrials/ShardRows(batch), (n+all-1)/all
	}
	if together > 0 {
		most = together / ShardRows(batch)
	}
	return max(1, min(most, fair))
}

func shardCount(batch int) int { return kernel.ShardCount(batch, ShardRows(batch)) }

// Enter waits until fewer than Threads shards compute. Whoever takes a shard through a graph enters before and leaves after it.
func (l *Link) Enter() { l.slots <- struct{}{} }

// Leave is the end of what Enter began.
func (l *Link) Leave() { <-l.slots }

// Fail ends all episodes that run, because of an error in one of the shards, and reports whether it is the first. Until [Link.Reset] nothing can be begun after it.
func (l *Link) Fail(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.failed == nil
	if first {
		l.failed = err
	}
	for p := range l.running {
		p.fail(err)
	}
	return first
}

// Reset makes a link ready for the next batch.
func (l *Link) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.running {
		_ = p.end() // nobody will hear of it
	}
	clear(l.running)
	clear(l.forming)
	l.failed = nil
}

// Close ends what is left running.
func (l *Link) Close() { l.Reset() }

// Environment returns an environment for the sequence of one graph, of that many rows, in trials of a split. pass is the task's pass of a run's trials; nil is 0.
func Environment[F kernel.Float](l *Link, rows int, split task.Split, pass func(nn.Pass) uint64) *Env[F] {
	if pass == nil {
		pass = func(nn.Pass) uint64 { return 0 }
	}
	return &Env[F]{link: l, rows: rows, split: split, pass: pass}
}

// join finds the party of a shard, and its seat there.
func (l *Link) join(s nn.EpisodeStart, rows int, split task.Split, pass uint64, double bool) (*party, int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return nil, 0, ErrElsewhere
	}
	size, batch := 1, s.Pass.Batch
	each := ShardRows(batch)
	if batch > rows && (l.distant || !s.BinByBin) {
		size = l.shards(batch)
	}
	number := s.Pass.Shard / size
	p := l.forming[number]
	if size == 1 || p == nil {
		first := number * size
		members, trials := 1, rows
		if size > 1 {
			members = min(size, shardCount(batch)-first)
			trials = min(members*each, batch-first*each)
		}
		if members < 1 || trials < 1 {
			return nil, 0, fmt.Errorf("link: shard %d of a batch of %d trials: there is none", s.Pass.Shard, batch)
		}
		p = newParty(l, members, trials, task.EpisodeRequest{Split: split, Pass: pass, Trials: make([]int64, trials), Seed: seed(s.Pass), Float64: double, Tape: s.Tape,
			NoiseOff: s.Pass.Quiet, Truncate: s.Truncate})
		l.running[p] = struct{}{}
		if size > 1 {
			l.forming[number] = p
		}
	}
	from := 0
	if size > 1 {
		from = s.Pass.Shard % size * each
		if p.joined++; p.joined == p.members {
			delete(l.forming, number)
		}
	}
	if from+rows > len(p.request.Trials) {
		return nil, 0, fmt.Errorf("link: shard %d of a batch of %d trials has not %d", s.Pass.Shard, batch, rows)
	}
	for i := range rows {
		p.request.Trials[from+i] = int64(i)
		if s.Pass.Trials != nil {
			p.request.Trials[from+i] = int64(s.Pass.Trials[i])
		}
	}
	return p, from, nil
}

// seed is that of the environment's noise in a pass.
func seed(p nn.Pass) uint64 { return random.Key(p.Seed, "environment noise", p.Stream...) }

// over forgets a party.
func (l *Link) over(p *party) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, p)
}
