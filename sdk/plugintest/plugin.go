package plugintest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
)

func pluginChecks() []check {
	return []check{
		{name: "manifest", doc: "the manifest is complete and well formed, and the same whenever it is asked for", run: manifest},
		{name: "token", doc: "calls without the token that it was started with, or with another, are refused", run: tokens},
		{name: "garbage", doc: "it survives calls that make no sense, and bytes that are no calls", run: garbage},
	}
}

// endChecks are for the end: they leave nothing to be called.
func endChecks() []check {
	return []check{
		{name: "drain", doc: "draining ends what runs before its deadline, refuses what is new, and health is answered still", run: drain},
	}
}

// capabilities are those that the components of a kind may claim; others are for later versions of the protocol, and are passed over.
func capabilities() map[component.Capability]component.Kind {
	return map[component.Capability]component.Kind{
		component.ClosedLoop: component.Task, component.CustomLoss: component.Task,
		component.TrainsOnTask: component.Model, component.TrainsOnData: component.Model, component.TrainsClosedLoop: component.Model, component.HasDynamics: component.Model,
		component.InfersInputs: component.Model, component.Samples: component.Model,
		component.NeedsDynamics: component.Comparator, component.WantsDynamics: component.Comparator,
	}
}

func manifest(ctx context.Context, s *subject, v *Verdict) error {
	p, err := s.plugin(ctx)
	if err != nil {
		return err
	}
	again, err := p.Describe(ctx)
	if err != nil {
		return fmt.Errorf("calling Describe: %w", err)
	}
	m := s.manifest
	if fmt.Sprint(again) != fmt.Sprint(m) {
		v.Failf("asked twice, the manifest is not the same: it may depend on nothing but the executable")
	}
	if err := m.Check(); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			v.Failf("%s", line)
		}
	}
	if m.Doc == "" {
		v.Failf("the plugin says nothing of itself: a sentence in doc is needed")
	}
	for _, c := range m.Components {
		if c.Doc == "" {
			v.Failf("component %s: a sentence in doc is needed", c.Name)
		}
		for _, f := range c.Params {
			if f.Doc == "" {
				v.Failf("component %s: parameter %s: a few words in doc are needed", c.Name, f.Name)
			}
		}
		of := capabilities()
		for _, k := range c.Capabilities {
			if kind, known := of[k]; known && kind != c.Name.Kind {
				v.Failf("component %s: capability %q is for a %s", c.Name, k, kind)
			}
		}
		if c.Name.Kind == component.Model && !c.Can(component.TrainsOnTask) && !c.Can(component.TrainsOnData) {
			v.Failf("component %s: capability %q or %q is needed, or nobody can train it", c.Name, component.TrainsOnTask, component.TrainsOnData)
		}
		if c.Can(component.TrainsClosedLoop) && !c.Can(component.TrainsOnTask) {
			v.Failf("component %s: capability %q needs %q", c.Name, component.TrainsClosedLoop, component.TrainsOnTask)
		}
	}
	v.Notef("protocol %d.%d, %d components", component.ProtocolMajor, m.Protocol, len(m.Components))
	return nil
}

func tokens(ctx context.Context, s *subject, v *Verdict) error {
	p, err := s.plugin(ctx)
	if err != nil {
		return err
	}
	for _, token := range []string{"", "not-the-token"} {
		if _, err := p.At("", token).Describe(ctx); err == nil {
			v.Failf("Describe is answered with the token %q: every call must carry that of CTDB_PLUGIN_TOKEN in its metadata, or be refused as UNAUTHENTICATED", token)
		}
	}
	return nil
}

// junk are messages that are none.
func junk() map[string][]byte {
	r := random.New(1, "junk")
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(r.Uint64())
	}
	return map[string][]byte{
		"no protobuf": {0xff, 0xff, 0xff, 0xff, 0xff}, "noise": noise, "nothing": {}, "a cut field": {0x0a, 0x7f, 1, 2, 3}, "unknown fields": {0xa2, 0x1f, 0x03, 'a', 'b', 'c'},
	}
}

const drainMethod = "/Drain"

func garbage(ctx context.Context, s *subject, v *Verdict) error {
	p, err := s.plugin(ctx)
	if err != nil {
		return err
	}
	kinds := append([]component.Kind{""}, component.Kinds()...)
	for _, kind := range kinds {
		for _, method := range client.Methods(kind) {
			for what, message := range junk() {
				if strings.HasSuffix(method, drainMethod) && what != "no protobuf" && what != "a cut field" {
					continue
				}
				if err := send(ctx, v, p, method, what, message); err == nil && kind != "" {
					v.Failf("%s was answered, although it named no instance: not found is needed", method)
				}
			}
			if why := s.died(); why != nil {
				v.Failf("it did not survive %s of garbage: %v", method, why)
				return nil
			}
		}
	}
	const unknown = "/ctdb.plugin.v1.PluginService/NoSuchMethod"
	if err := p.Bytes(ctx, unknown, nil); !errors.Is(err, component.ErrUnsupported) {
		v.Failf("%s: error %v: the status of a method that is not there is needed, as of whatever a later version may add", unknown, err)
	}
	return s.noise(ctx, v, p.Address())
}

// send sends a message that is none and looks at what becomes of the call.
func send(ctx context.Context, v *Verdict, to interface {
	Bytes(ctx context.Context, method string, message []byte) error
}, method, what string, message []byte) error {
	limited, cancel := context.WithTimeout(ctx, refusalTime)
	defer cancel()
	err := to.Bytes(limited, method, message)
	switch {
	case limited.Err() != nil && ctx.Err() == nil:
		v.Failf("%s of %s was not answered within %v", method, what, refusalTime)
	case err == nil && (what == "no protobuf" || what == "a cut field"):
		v.Failf("%s of %s was answered as if it were a message", method, what)
	}
	return err
}

// instanceGarbage sends an instance messages that are none, and uses another then.
func instanceGarbage(ctx context.Context, s *subject, v *Verdict) error {
	i, err := s.instance(ctx)
	if err != nil {
		return err
	}
	to, ok := i.(interface {
		Bytes(ctx context.Context, method string, message []byte) error
	})
	if !ok {
		return fmt.Errorf("%T cannot be sent bytes", i)
	}
	for _, method := range client.Methods(s.info.Name.Kind) {
		for what, message := range junk() {
			_ = send(ctx, v, to, method, what, message)
		}
		if why := s.died(); why != nil {
			v.Failf("it did not survive %s of garbage: %v", method, why)
			return nil
		}
	}
	limited, cancel := context.WithTimeout(ctx, refusalTime)
	defer cancel()
	if err := i.Close(limited); err != nil {
		v.Failf("closing an instance that was sent garbage: %v", err)
	}
	if err := s.open(ctx, s.values); err != nil {
		v.Failf("after garbage: %v", err)
	}
	return nil
}

// noise sends the socket what is no HTTP/2.
func (s *session) noise(ctx context.Context, v *Verdict, address string) error {
	path, ok := strings.CutPrefix(address, "unix://")
	if !ok {
		return nil
	}
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for what, bytes := range map[string]string{
		"HTTP/1.1": "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "noise": string(junk()["noise"]), "noise after HTTP/2's preface": preface + string(junk()["noise"]), "half a preface": preface[:10],
	} {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return fmt.Errorf("connecting to its socket: %w", err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte(bytes))
		_ = conn.Close()
		if why := s.died(); why != nil {
			v.Failf("it did not survive a connection with %s: %v", what, why)
			return nil
		}
	}
	return nil
}

// waiting is a call on a component that does not end by itself, since what it is to be sent never comes; nil where a kind has none.
func (s *subject) waiting(ctx context.Context) (func(ctx context.Context) error, error) {
	for _, info := range s.manifest.Components {
		sub := &subject{session: s.session, info: info}
		sub.values = sub.small(ctx)
		switch info.Name.Kind {
		case component.Task:
			t, err := sub.task(ctx, seed, 1)
			if err != nil {
				continue
			}
			return func(ctx context.Context) error {
				_, err := t.Score(ctx, task.ScoreRequest{Split: task.Valid}, until(ctx))
				return err
			}, nil
		case component.Model:
			env, err := s.env(seed, 1)
			if err != nil {
				return nil, err
			}
			target, err := sub.target(ctx)
			if err != nil {
				return nil, err
			}
			m, err := sub.model(ctx, env, target)
			if err != nil {
				continue
			}
			return func(ctx context.Context) error {
				for _, err := range m.Rollout(ctx, model.RolloutRequest{}, until(ctx)) {
					if err != nil {
						return err
					}
				}
				return nil
			}, nil
		case component.Simulator:
			m, err := sub.simulator(ctx, seed, 1, foilSource())
			if err != nil {
				continue
			}
			return func(ctx context.Context) error {
				_, err := m.Fit(ctx, until(ctx))
				return err
			}, nil
		}
	}
	return nil, nil
}

func drain(ctx context.Context, s *subject, v *Verdict) error {
	p, err := s.plugin(ctx)
	if err != nil {
		return err
	}
	wait, err := s.waiting(ctx)
	if err != nil {
		return err
	}
	calling, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	if wait == nil {
		ended <- nil
	} else {
		go func() { ended <- guard(func() error { return wait(calling) }) }()
		// Until the call has arrived.
		pause(ctx, 100*time.Millisecond)
	}
	defer func() {
		cancel()
		<-ended
		// Nothing can be asked of it any more.
		if err := s.stop(); err != nil {
			v.Failf("stopping it: %v", err)
		}
	}()
	deadline := min(drainTime, s.options.CancelTime)
	limited, done := context.WithTimeout(ctx, deadline)
	defer done()
	if err := p.Drain(limited); err != nil {
		v.Failf("Drain with a call that waits for data: %v: running calls must be cancelled before the deadline of %v", err, deadline)
		return nil
	}
	h, err := p.Health(ctx)
	switch {
	case err != nil:
		v.Failf("Health after Drain: %v: it must be answered still", err)
	case h.Ready:
		v.Failf("after Drain it says that it is ready")
	}
	i := slices.IndexFunc(s.manifest.Components, func(c component.Info) bool {
		return c.Name.Kind == component.Task || c.Name.Kind == component.Comparator
	})
	if i < 0 {
		return nil
	}
	sub := &subject{session: s.session, info: s.manifest.Components[i]}
	if err := sub.open(ctx, s.options.Params[sub.info.Name.String()]); !errors.Is(err, component.ErrUnavailable) {
		v.Failf("opening %s after Drain: error %v: unavailable is needed", sub.info.Name, err)
	}
	return nil
}

// pause waits, or less long where ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
