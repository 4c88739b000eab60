package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// limit is how much memory a stage may need, and whose limit that is; 0 bytes for none that is known.
type limit struct {
	bytes int64
	whose string
}

// memoryLimit is what is given or, where that is 0, what the machine has or the control group grants. It is not what happens to be free: a study is
// not refused because of what runs beside it for a moment.
func memoryLimit(given int64) limit {
	if given > 0 {
		return limit{given, "--memory allows %s"}
	}
	m := machine.ReadMemory()
	if m.Limit > 0 && (m.Total == 0 || m.Limit < m.Total) {
		return limit{m.Limit, "the control group allows %s"}
	}
	return limit{m.Total, "the machine has %s"}
}

func (l limit) exceeded(bytes int64) bool { return l.bytes > 0 && bytes > l.bytes }

// ErrMemory is wrapped where a plugin may use less memory than it takes to ask it.
var ErrMemory = errors.New("too little memory")

// tooLittle is an error of the time before anything starts: where a plugin was killed because of the limit, it says that no stage is to blame, and no batch or model.
func (l limit) tooLittle(err error) error {
	var killed *launch.MemoryError
	if errors.As(err, &killed) {
		return l.alone(killed.Plugin, killed.Used)
	}
	return err
}

func (l limit) alone(plugin string, used int64) error {
	return fmt.Errorf("%w: %s, and plugin %s alone uses %s before any stage begins: it needs more than that, and what the stages take besides",
		ErrMemory, fmt.Sprintf(l.whose, size(l.bytes)), plugin, size(used))
}

// startable checks that the plugins that were asked stay within what they may use, as they are before any stage begins.
func (v *validation) startable() error {
	if v.host.Memory == 0 {
		return nil
	}
	for _, p := range v.procs {
		used := p.Memory()
		if used > v.host.Memory {
			return v.limit.alone(p.Name(), used)
		}
		// One that has none has ended, perhaps because it was killed for it a moment ago.
		var killed *launch.MemoryError
		if used == 0 && errors.As(p.Wrap(component.ErrUnavailable), &killed) {
			return v.limit.alone(p.Name(), killed.Used)
		}
	}
	return nil
}

// affordable reports whether there is memory for a stage, and notes the problem where there is not, at the component that needs most.
func (v *validation) affordable(m stageMemory) bool {
	total := int64(0)
	for _, p := range m.parts {
		total = tensor.Total(total, p.bytes)
	}
	if total > 0 {
		v.needs[m.stage] = max(v.needs[m.stage], total)
	}
	if !v.limit.exceeded(total) {
		return true
	}
	most := slices.MaxFunc(m.parts, func(a, b memoryPart) int { return cmp.Compare(a.bytes, b.bytes) })
	message := fmt.Sprintf("%s would need about %s of memory", m.stage, size(total))
	if len(m.parts) > 1 {
		message += fmt.Sprintf(", %s of it for %s", size(most.bytes), most.use.Ref)
	}
	message += ": " + fmt.Sprintf(v.limit.whose, size(v.limit.bytes))
	p := param.Problem{Message: message}
	if len(most.params) == 0 {
		// The sizes of the data alone decide: whose parameters these are is to blame.
		for _, other := range m.parts {
			if len(other.params) > 0 && (len(most.params) == 0 || other.bytes > most.bytes) {
				most = other
			}
		}
	}
	if len(most.params) == 0 {
		p.Hint = "the sizes of its data decide: how many trials there are, of how many bins and channels"
	} else {
		p.Path = most.params[0]
		p.Hint = "it depends on " + strings.Join(most.params, ", ")
		// A model's part is also that of the trials that it holds, whose number and length are the task's.
		for _, other := range m.parts {
			if other.use != most.use && len(other.params) > 0 {
				p.Hint += fmt.Sprintf("; and on %s of %s", strings.Join(other.params, ", "), other.use.Ref)
			}
		}
	}
	v.problems = append(v.problems, most.use.Problem(p))
	return false
}

// size is a number of bytes for people.
func size(bytes int64) string {
	if bytes == math.MaxInt64 {
		return "more memory than can be counted"
	}
	return humanize.IBytes(uint64(bytes))
}
