package builtin

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// way is a way to the same result.
type way struct {
	name string
	// threads of each session in turn; the last one's are those of all further ones.
	threads []int
	// block is the size of the blocks of trials, as they come and as they are rolled out; 0 is the task's own, or all of them.
	block int
	// steps after which each session but the last is interrupted; none is where it is empty.
	steps []int
	// plain is a way for every setting, not only for the models' first ones.
	plain bool
	// seed of another result; 0 is that of all others.
	seed uint64
	// far trains over the protocol: the model is in a plugin, and the task in another.
	far bool
}

// TestTheSameBytesEveryWay trains every model in ways that differ in all that must not matter: the number of threads, the blocks in which trials come, the process boundary, and
// interruptions after which other threads go on. The weights, the last weights, the curves, the result and a noisy rollout are the same to the bit.
func TestTheSameBytesEveryWay(t *testing.T) {
	tk, spec := flipflop(t, 125, 24)
	data := record(125, 24)
	there, here := served(t), served(t)
	all := settings(t, func(s setting) model.Target { return s.target(spec, data.spec) })
	if len(all) < 3*len(Plugin().Models) || len(Plugin().Models) < 11 {
		t.Fatalf("%d settings of %d models", len(all), len(Plugin().Models))
	}
	remote, err := there.OpenTask(t.Context(), component.Name{Kind: component.Task, Short: "nbff"},
		param.Values{"n_bits": 2, "n_timesteps": 24, "switch_prob": 0.05, "noise": 0.1, "transition_blind": 2, "n_trials": 125}, component.Env{Seed: 1, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	// Of each setting the weights of its first way.
	var mu sync.Mutex
	weights := map[string]string{}
	t.Cleanup(func() {
		for _, s := range all {
			model, set, _ := strings.Cut(s.name, "/")
			name, _, _ := strings.Cut(set, "=")
			// What a training of three epochs cannot do without a trace.
			if weights[s.name] == "" || weights[model] == "" {
				continue // it was not run
			}
			if (slices.Contains([]string{"warmup", "max_updates", "clip"}, name) || slices.Contains([]string{"optimizer=adamw", "schedule=cosine"}, set)) && weights[s.name] == weights[model] {
				t.Errorf("%s has the weights of %s", s.name, model)
			}
		}
	})
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var want map[string]string
			for _, w := range []way{
				{name: "one thread", threads: []int{1}, plain: true},
				{name: "2 threads, blocks of 1 trial", threads: []int{2}, block: 1},
				{name: "3 threads, then 7, then 1, blocks of 7, interrupted in an epoch and at one's end", threads: []int{3, 7, 1}, block: 7, steps: []int{2, 4}, plain: true},
				{name: "7 threads, another process's task", threads: []int{7}, far: true, block: 33},
				{name: "another seed", threads: []int{1}, seed: 8},
			} {
				if s.varied && !w.plain {
					continue
				}
				o := opened{setting: s, target: s.target(spec, data.spec), task: inBlocks{tk, w.block}, data: blocksOf{data, w.block}}
				if w.far {
					o.plugin = here
					if !s.onData() {
						o.task = remote
					}
				}
				got := o.bytes(t, w)
				if want == nil {
					want = got
					mu.Lock()
					weights[s.name] = got["weights"]
					mu.Unlock()
					continue
				}
				if w.seed != 0 {
					for _, part := range []string{"weights", "curves", "rollout"} {
						if got[part] == want[part] {
							t.Errorf("%s: %s are those of another seed", w.name, part)
						}
					}
					continue
				}
				for _, part := range slices.Sorted(maps.Keys(want)) {
					if got[part] != want[part] {
						t.Errorf("%s: %s: %s, with one thread it is %s", w.name, part, got[part], want[part])
					}
				}
				if len(got) != len(want) {
					t.Errorf("%s: %d parts, with one thread %d", w.name, len(got), len(want))
				}
			}
		})
	}
}

// served is this package's plugin behind a socket in this process.
func served(t *testing.T) *client.Plugin {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctdb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(serve.ServerOptions()...)
	serve.Register(s, Plugin(), serve.Options{Log: slog.New(slog.DiscardHandler)})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := client.Dial("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		<-done
	})
	return client.New(conn, "unix://"+path, "")
}

// opened is a setting with what it is trained on.
type opened struct {
	setting
	target model.Target
	task   task.Task
	data   model.DataSource
	plugin *client.Plugin
}

func (o opened) open(ctx context.Context, env component.Env) (model.Model, error) {
	env.Log = slog.New(slog.DiscardHandler)
	if o.plugin != nil {
		return o.plugin.OpenModel(ctx, o.factory.Info.Name, o.values, env, o.target)
	}
	return o.factory.Open(ctx, o.values, env, o.target)
}

// bytes trains in a way and returns the hash of all that is made, by what it is.
func (o opened) bytes(t *testing.T, w way) map[string]string {
	t.Helper()
	dir := t.TempDir()
	var (
		m      model.Model
		result model.TrainResult
		curve  *recorder
	)
	for session := 0; ; session++ {
		ctx, stop := context.WithCancel(t.Context())
		curve = &recorder{stop: stop}
		if session < len(w.steps) {
			curve.left = w.steps[session]
		}
		var err error
		if m, err = o.open(ctx, component.Env{Seed: 7 + w.seed, Threads: w.threads[min(session, len(w.threads)-1)], Dir: dir}); err != nil {
			t.Fatal(err)
		}
		var req model.TrainRequest
		if o.onData() {
			req.Data = o.data
		} else {
			req.Task = o.task
		}
		if len(w.steps) > 0 {
			req.CheckpointEvery = time.Nanosecond
		}
		result, err = m.Train(ctx, req, curve)
		stop()
		if err == nil {
			if session < len(w.steps) && result.Steps > int64(slices.Max(w.steps)) {
				t.Errorf("%s: it was not interrupted in session %d", w.name, session)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || session > len(w.steps) {
			t.Fatalf("%s: session %d: %v", w.name, session, err)
		}
	}
	weights, err := m.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{"weights": digest(t, weights), "last weights": digest(t, result.Last), "curves": curve.digest()}
	result.Last = nil
	out["result"] = fmt.Sprintf("%+v", result)
	trials := o.task.Trials(t.Context(), task.TrialRequest{Split: task.Valid, BlockTrials: w.block})
	if o.onData() {
		trials = o.data.Data(t.Context(), task.Valid)
	}
	b, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Seed: 3, Noise: true}, trials))
	if err != nil {
		t.Fatal(err)
	}
	out["rollout"] = digest(t, b.Arrays)
	if c, ok := m.(client.Model); ok {
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	return out
}

func digest(t *testing.T, s tensor.Set) string {
	t.Helper()
	h := sha256.New()
	if err := tensor.WriteSafetensors(h, s, nil); err != nil {
		t.Fatal(err)
	}
	return sum(h)
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)[:8]) }

// recorder keeps the curves of a session, and ends it after so many checkpoints, of which there is one after each step.
type recorder struct {
	component.Discard
	stop   func()
	left   int
	values []component.Metric
}

func (r *recorder) Metric(m component.Metric) { r.values = append(r.values, m) }

func (r *recorder) Checkpoint(component.Checkpoint) {
	if r.left--; r.left == 0 {
		r.stop()
	}
}

func (r *recorder) digest() string {
	h := sha256.New()
	for _, m := range r.values {
		fmt.Fprintln(h, m.Name, m.Step, m.Epoch)
		_ = binary.Write(h, binary.LittleEndian, math.Float64bits(m.Value))
	}
	return sum(h)
}
