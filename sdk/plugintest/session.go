package plugintest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
)

// Options are how to check; the zero value checks everything with small parameters.
type Options struct {
	// Params of a component by its name, e.g. "task/clicks": small sizes, so that a check takes no more than seconds. They are laid over the defaults, and over the small
	// values that known names get otherwise.
	Params map[string]param.Values
	// Only names the components to check; none means all.
	Only []string
	// Timeout is what one check may take; 0 is DefaultTimeout.
	Timeout time.Duration
	// CancelTime is what a cancelled call has to end in; 0 is DefaultCancelTime. The protocol asks for one second, but machines are busy, and compilers that cannot be interrupted are at work.
	CancelTime time.Duration
	// Dir holds the private folders of instances; empty for a temporary one that is removed afterwards.
	Dir string
	// Each hears of each result as it comes; may be nil.
	Each func(Result)
}

// How long things may take.
const (
	DefaultTimeout    = 60 * time.Second
	DefaultCancelTime = 10 * time.Second
	// drainTime is the longest deadline that draining is given, and refusalTime is what nonsense is to be refused in.
	drainTime   = 3 * time.Second
	refusalTime = 10 * time.Second
	// healthTime is what a question for its health has to be answered in, whatever else is running.
	healthTime = 5 * time.Second
)

// Running is a plugin that can be called.
type Running struct {
	Plugin *client.Plugin
	// Stop ends it.
	Stop func(ctx context.Context) error
	// Died says of the error of a call whether it is that the plugin has ended, and why; nil where that cannot be known.
	Died func(err error) error
}

// Start starts the plugin under test. It may be called several times: a plugin that dies in one check is started again for the next.
type Start func(ctx context.Context) (Running, error)

// session is one run of the suite.
type session struct {
	start    Start
	options  Options
	foil     *foil
	current  *Running
	manifest component.Manifest
	dirs     int
	// record is the recording that models are fitted to, made once.
	record func() recorded
}

// Run checks a plugin. The error says that there was nothing to check: it cannot be started or described, a component of Options is not there, or ctx has ended. What is wrong with the
// plugin is in the report.
func Run(ctx context.Context, start Start, o Options) (report Report, err error) {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.CancelTime <= 0 {
		o.CancelTime = DefaultCancelTime
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "ctdb-check"); err != nil {
			return report, fmt.Errorf("plugintest: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	}
	s := &session{start: start, options: o, record: sync.OnceValue(func() recorded { return record(0) })}
	if s.foil, err = serveFoil(); err != nil {
		return report, fmt.Errorf("plugintest: %w", err)
	}
	defer s.foil.close()
	p, err := s.plugin(ctx)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if s.manifest, err = p.Describe(ctx); err != nil {
		return report, fmt.Errorf("plugintest: the plugin does not say what is in it: %w", err)
	}
	report.Plugin, report.Version = s.manifest.Name, s.manifest.Version
	if err := s.known(); err != nil {
		return report, err
	}
	note := func(r Result) {
		report.Results = append(report.Results, r)
		if o.Each != nil {
			o.Each(r)
		}
	}
	s.suite(ctx, &subject{session: s}, pluginChecks(), note)
	for _, info := range s.manifest.Components {
		name := info.Name.String()
		if len(o.Only) > 0 && !slices.Contains(o.Only, name) || ctx.Err() != nil {
			continue
		}
		sub := &subject{session: s, info: info}
		sub.values = sub.small(ctx)
		if len(sub.values) > 0 {
			if report.Params == nil {
				report.Params = map[string]param.Values{}
			}
			report.Params[name] = sub.values
		}
		s.suite(ctx, sub, slices.Concat(componentChecks(), checksOf(info.Name.Kind)), note)
	}
	s.suite(ctx, &subject{session: s}, endChecks(), note)
	if ctx.Err() != nil {
		return report, fmt.Errorf("plugintest: %w", ctx.Err())
	}
	return report, nil
}

// known refuses options that name components that are not there.
func (s *session) known() error {
	var names []string
	for _, c := range s.manifest.Components {
		names = append(names, c.Name.String())
	}
	given := slices.Clone(s.options.Only)
	for name := range s.options.Params {
		given = append(given, name)
	}
	slices.Sort(given)
	for _, name := range given {
		if !slices.Contains(names, name) {
			hint := param.DidYouMean(name, names)
			if hint == "" {
				hint = fmt.Sprintf("they are %v", names)
			}
			return component.Invalid("component", "plugin %s has no component %q: %s", s.manifest.Name, name, hint)
		}
	}
	return nil
}

func checksOf(k component.Kind) []check {
	switch k {
	case component.Task:
		return taskChecks()
	case component.Model:
		return modelChecks()
	case component.Simulator:
		return simulatorChecks()
	case component.Comparator:
		return comparatorChecks()
	}
	return nil
}

// plugin returns the running plugin, which is started where there is none.
func (s *session) plugin(ctx context.Context) (*client.Plugin, error) {
	if s.current == nil {
		r, err := s.start(ctx)
		if err != nil {
			return nil, err
		}
		s.current = &r
	}
	return s.current.Plugin, nil
}

// stopTime is what a plugin has to end in.
const stopTime = 10 * time.Second

func (s *session) stop() error {
	if s.current == nil {
		return nil
	}
	r := s.current
	s.current = nil
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return r.Stop(ctx)
}

// died says why the plugin can no longer be called; nil where it can. One that does not answer is stopped.
func (s *session) died() error {
	if s.current == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTime)
	defer cancel()
	_, err := s.current.Plugin.Health(ctx)
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it no longer answers the question for its health within %v", healthTime)
	} else if s.current.Died != nil {
		err = s.current.Died(err)
	}
	_ = s.stop()
	return err
}

// check is one thing that is held to be true.
type check struct {
	name, doc string
	run       func(ctx context.Context, s *subject, v *Verdict) error
	// first is set where nothing else can be checked if this fails.
	first bool
}

// suite runs checks, each with its time, and notes what comes of them.
func (s *session) suite(ctx context.Context, sub *subject, checks []check, note func(Result)) {
	name := ""
	if sub.info.Name.Kind != "" {
		name = sub.info.Name.String()
	}
	lost := ""
	for _, c := range checks {
		if ctx.Err() != nil {
			return
		}
		v, began := &Verdict{}, time.Now()
		if lost != "" {
			v.Skipf("%s failed", lost)
		} else {
			s.one(ctx, sub, c, v)
		}
		if v.failed() && c.first {
			lost = c.name
		}
		if ctx.Err() != nil {
			// What failed because the whole was ended is not the plugin's fault.
			return
		}
		note(v.Result(name, c.name, c.doc, time.Since(began)))
	}
}

// one runs one check. Instances that it has opened are closed.
func (s *session) one(ctx context.Context, sub *subject, c check, v *Verdict) {
	limited, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	_, err := s.plugin(limited)
	if err == nil {
		err = guard(func() error { return c.run(limited, sub, v) })
	}
	timeout := limited.Err() != nil && ctx.Err() == nil
	switch {
	case timeout:
		v.Failf("it took longer than %v: choose smaller parameters for the check (or it hangs)", s.options.Timeout)
	case err != nil:
		v.Failf("%v", err)
	}
	for _, closed := range sub.takeCleanups() {
		if err := closed(); err != nil && !v.failed() {
			v.Failf("closing the instance: %v", err)
		}
	}
	if why := s.died(); why != nil {
		// Whatever else was found is most likely of that.
		v.problems = append([]string{fmt.Sprintf("the plugin did not survive it: %v", why)}, v.problems[:min(1, len(v.problems))]...)
	}
}

// guard makes an error of a panic: a check must not end the suite.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the check itself failed on what the plugin sent: %v", r)
		}
	}()
	return f()
}

// subject is what is checked: a component with parameters, or the plugin as a whole.
type subject struct {
	*session
	info     component.Info
	values   param.Values
	cleanups []func() error
	// bare is set for a data-trained model that takes no external inputs, once that was asked.
	bare, asked bool
}

func (s *subject) takeCleanups() []func() error {
	out := s.cleanups
	s.cleanups = nil
	slices.Reverse(out)
	return out
}

// env is what an instance is opened with. Its folder is its own.
func (s *subject) env(seed uint64, threads int) (component.Env, error) {
	s.dirs++
	dir := filepath.Join(s.options.Dir, fmt.Sprintf("instance-%d", s.dirs))
	return component.Env{Seed: seed, Threads: threads, Dir: dir, Log: slog.New(slog.DiscardHandler)}, os.MkdirAll(dir, 0o700)
}

type closer interface {
	Close(ctx context.Context) error
}

// opened has an instance closed when the check ends.
func opened[I closer](s *subject, i I, err error) (I, error) {
	if err != nil {
		return i, fmt.Errorf("opening it: %w", err)
	}
	s.cleanups = append(s.cleanups, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), s.options.CancelTime)
		defer cancel()
		err := i.Close(ctx)
		if errors.Is(err, component.ErrNotFound) || errors.Is(err, component.ErrUnavailable) {
			// The check has closed it, or the plugin is gone, which is told elsewhere.
			return nil
		}
		return err
	})
	return i, nil
}

// The seeds of instances.
const (
	seed      = 11
	otherSeed = 12
)

// task opens the task.
func (s *subject) task(ctx context.Context, seed uint64, threads int) (client.Task, error) {
	env, err := s.env(seed, threads)
	if err != nil {
		return nil, err
	}
	p, err := s.plugin(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.OpenTask(ctx, s.info.Name, s.values, env)
	return opened(s, t, err)
}

// model opens the model in an environment.
func (s *subject) model(ctx context.Context, env component.Env, target model.Target) (client.Model, error) {
	p, err := s.plugin(ctx)
	if err != nil {
		return nil, err
	}
	m, err := p.OpenModel(ctx, s.info.Name, s.values, env, target)
	return opened(s, m, err)
}

// simulator opens the simulator.
func (s *subject) simulator(ctx context.Context, seed uint64, threads int, source simulator.Source) (client.Simulator, error) {
	env, err := s.env(seed, threads)
	if err != nil {
		return nil, err
	}
	p, err := s.plugin(ctx)
	if err != nil {
		return nil, err
	}
	m, err := p.OpenSimulator(ctx, s.info.Name, s.values, env, source)
	return opened(s, m, err)
}

// comparator opens the comparator.
func (s *subject) comparator(ctx context.Context, seed uint64, threads int) (client.Comparator, error) {
	env, err := s.env(seed, threads)
	if err != nil {
		return nil, err
	}
	p, err := s.plugin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := p.OpenComparator(ctx, s.info.Name, s.values, env)
	return opened(s, c, err)
}
