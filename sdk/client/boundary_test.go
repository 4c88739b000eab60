package client_test

import (
	"context"
	"errors"
	"hash/crc32"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	simulatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/simulator/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func crc(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

func header(name string, shape ...int64) *tensorv1.Header {
	return &tensorv1.Header{Name: name, Dtype: tensorv1.DataType_DATA_TYPE_FLOAT64, Shape: shape}
}

// array is a message of zeros.
func array(name string, shape ...int64) *tensorv1.Tensor {
	n := int64(8)
	for _, s := range shape {
		n *= s
	}
	data := make([]byte, n)
	return &tensorv1.Tensor{Header: header(name, shape...), Data: data, Crc32C: crc(data)}
}

// whole is the frames of one block.
func whole(trials []int64, arrays ...*tensorv1.Tensor) []*tensorv1.Frame {
	var out []*tensorv1.Frame
	for _, a := range arrays {
		out = append(out, &tensorv1.Frame{Header: a.Header, Data: a.Data, Crc32C: proto.Uint32(a.Crc32C)})
	}
	if len(out) == 0 {
		out = append(out, &tensorv1.Frame{})
	}
	out[0].Start = &tensorv1.BlockStart{Trials: trials, Arrays: uint32(len(arrays))}
	return append(out, &tensorv1.Frame{End: &tensorv1.BlocksEnd{Blocks: 1}})
}

// typed says whether an error is of one of the kinds that a caller can tell apart.
func typed(err error) bool {
	var internal *component.InternalError
	for _, is := range []error{component.ErrInvalidArgument, component.ErrNotFound, component.ErrUnavailable, component.ErrUnsupported, component.ErrDiverged,
		component.ErrChecksum, tensor.ErrShape, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, is) {
			return true
		}
	}
	return errors.As(err, &internal)
}

// refused fails where a call did not end in a typed error, in time.
func refused(t *testing.T, what string, call func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		if err == nil || !typed(err) {
			t.Errorf("%s: error %v (%T)", what, err, err)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: no end", what)
	}
}

// badFrames are sequences that are wrong in themselves, whatever they should have been.
func badFrames() map[string][]*tensorv1.Frame {
	good := func() []*tensorv1.Frame { return whole([]int64{1, 2}, array("inputs", 2, 3)) }
	change := func(f func([]*tensorv1.Frame)) []*tensorv1.Frame {
		g := good()
		f(g)
		return g
	}
	many := make([]int64, 1_000_001)
	return map[string][]*tensorv1.Frame{
		"nothing":           nil,
		"no frame":          {nil},
		"empty frame":       {{}},
		"no end":            good()[:1],
		"end within":        {{Start: &tensorv1.BlockStart{Arrays: 1}}, {End: &tensorv1.BlocksEnd{}}},
		"wrong number":      change(func(f []*tensorv1.Frame) { f[1].End.Blocks = 2 }),
		"checksum":          change(func(f []*tensorv1.Frame) { *f[0].Crc32C++ }),
		"data short":        change(func(f []*tensorv1.Frame) { f[0].Data = f[0].Data[:7] }),
		"data long":         change(func(f []*tensorv1.Frame) { f[0].Data = append(f[0].Data, 0) }),
		"negative axis":     change(func(f []*tensorv1.Frame) { f[0].Header.Shape = []int64{2, -3} }),
		"huge axes":         change(func(f []*tensorv1.Frame) { f[0].Header.Shape = []int64{2, math.MaxInt64, math.MaxInt64} }),
		"huge empty axis":   change(func(f []*tensorv1.Frame) { f[0].Header.Shape = []int64{2, 0, math.MaxInt64} }),
		"more than sent":    change(func(f []*tensorv1.Frame) { f[0].Header.Shape = []int64{2, 1 << 40} }),
		"unknown type":      change(func(f []*tensorv1.Frame) { f[0].Header.Dtype = 77 }),
		"no type":           change(func(f []*tensorv1.Frame) { f[0].Header.Dtype = 0 }),
		"many axes":         change(func(f []*tensorv1.Frame) { f[0].Header.Shape = make([]int64, 1000) }),
		"axes misnamed":     change(func(f []*tensorv1.Frame) { f[0].Header.Axes = []string{"a"} }),
		"long name":         change(func(f []*tensorv1.Frame) { f[0].Header.Name = strings.Repeat("x", 5000) }),
		"no name":           change(func(f []*tensorv1.Frame) { f[0].Header.Name = "" }),
		"no header":         change(func(f []*tensorv1.Frame) { f[0].Header = nil }),
		"rows and trials":   change(func(f []*tensorv1.Frame) { f[0].Start.Trials = []int64{1} }),
		"many arrays":       {{Start: &tensorv1.BlockStart{Arrays: math.MaxUint32}}},
		"many trials":       {{Start: &tensorv1.BlockStart{Trials: many}}},
		"block in block":    {{Start: &tensorv1.BlockStart{Arrays: 1}}, {Start: &tensorv1.BlockStart{Arrays: 1}}},
		"data first":        {{Data: []byte{1}}},
		"header first":      {{Header: header("x", 1)}},
		"checksum first":    {{Crc32C: proto.Uint32(0)}},
		"twice":             whole([]int64{1}, array("x", 1), array("x", 1)),
		"after the end":     append(good(), good()...),
		"two headers":       {{Start: &tensorv1.BlockStart{Arrays: 2}, Header: header("x", 1)}, {Header: header("y", 1)}},
		"chunk out of turn": {{Start: &tensorv1.BlockStart{Arrays: 1}}, {Data: make([]byte, 8)}, {Header: header("x", 1), Crc32C: proto.Uint32(0)}},
		"chunk of 2 MiB":    {{Start: &tensorv1.BlockStart{Arrays: 1}, Header: header("x", 1<<20)}, {Data: make([]byte, 2<<20)}},
	}
}

var (
	ctx     = context.Background()
	taskRef = component.Name{Kind: component.Task, Short: "x"}
)

func open(t *testing.T, p *client.Plugin) (client.Task, client.Model, client.Simulator, client.Comparator) {
	t.Helper()
	tk, err := p.OpenTask(ctx, taskRef, nil, component.Env{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.OpenModel(ctx, component.Name{Kind: component.Model, Short: "x"}, nil, component.Env{}, model.Target{Data: &model.DataSpec{}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.OpenSimulator(ctx, component.Name{Kind: component.Simulator, Short: "x"}, nil, component.Env{}, simulator.Source{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.OpenComparator(ctx, component.Name{Kind: component.Comparator, Short: "x"}, nil, component.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return tk, m, s, c
}

// Every call that brings arrays refuses every sequence that is wrong in itself.
func TestBadSequences(t *testing.T) {
	h := &hostile{names: &taskv1.ScoreNames{}}
	tk, m, s, _ := open(t, h.serve(t))
	y := tensor.New64("outputs", 2, 3)
	trials := func() tensor.Blocks { return tensor.Of(tensor.Block{Trials: []int64{1, 2}, Arrays: tensor.Set{y}}) }
	state := tensor.New64("state", 2, 2)
	d, err := m.Dynamics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all := func(b tensor.Blocks) error {
		_, err := tensor.Collect(b)
		return err
	}
	calls := map[string]func() error{
		"trials": func() error { return all(tk.Trials(ctx, task.TrialRequest{Split: task.Train})) },
		"score": func() error {
			_, err := tk.Score(ctx, task.ScoreRequest{Split: task.Valid}, trials())
			return err
		},
		"loss": func() error {
			_, _, err := tk.(task.CustomLoss).Loss(ctx, task.ScoreRequest{Split: task.Train}, []int64{1, 2}, y)
			return err
		},
		"rollout": func() error { return all(m.Rollout(ctx, model.RolloutRequest{}, trials())) },
		"save":    func() error { _, err := m.Save(ctx); return err },
		"initial": func() error { _, err := d.InitialState(ctx, tensor.Block{}); return err },
		"jacobians": func() error {
			_, _, err := d.Jacobians(ctx, state, nil)
			return err
		},
		"fit":      func() error { _, err := s.Fit(ctx, trials()); return err },
		"simulate": func() error { return all(s.Simulate(ctx, trials())) },
	}
	for kind, frames := range badFrames() {
		h.frames = frames
		for name, call := range calls {
			// What a set alone refuses, or a sequence alone.
			streams := name == "trials" || name == "rollout" || name == "simulate"
			if streams && kind == "after the end" {
				continue
			}
			refused(t, name+": "+kind, call)
		}
	}
	// A block where a set is due, and sets of the wrong arrays.
	for kind, frames := range map[string][]*tensorv1.Frame{
		"trials":      whole([]int64{1}, array("x", 1)),
		"other names": whole(nil, array("x", 1), array("y", 1)),
		"none":        {{End: &tensorv1.BlocksEnd{}}},
		"scalar":      whole(nil, array("d_state")),
		"flat":        whole(nil, array("d_state", 2, 4)),
		"rows":        whole(nil, array("d_state", 5, 2, 2)),
		"few rows":    whole(nil, array("d_state", 1, 2, 2)),
	} {
		h.frames = frames
		refused(t, "jacobians: "+kind, calls["jacobians"])
		refused(t, "score: "+kind, calls["score"])
		if kind != "scalar" && kind != "flat" && kind != "rows" && kind != "few rows" {
			refused(t, "loss: "+kind, calls["loss"])
			refused(t, "initial: "+kind, calls["initial"])
		}
	}
	// Arrays of the caller that cannot be cut into rows never leave.
	for _, bad := range []*tensor.Tensor{{Name: "x", Shape: []int{5}, F64: make([]float64, 2)}, tensor.New64("x"), {Name: "x", Shape: []int{-1}}} {
		h.frames = whole(nil, array("d_state", 2, 2, 2))
		refused(t, "jacobians of a bad state", func() error { _, _, err := d.Jacobians(ctx, bad, nil); return err })
		refused(t, "a step of a bad state", func() error { _, err := d.Step(ctx, bad, nil); return err })
		refused(t, "a bad input", func() error { _, _, err := d.Jacobians(ctx, state, bad); return err })
	}
}

// Answers of one message.
func TestBadAnswers(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		h    hostile
		call func(p *client.Plugin) error
	}{
		"spec missing":       {hostile{taskSpec: &taskv1.SpecResponse{}}, callSpec},
		"spec negative bins": {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.Bins = -1 })}, callSpec},
		"spec bins":          {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.Inputs = math.MinInt64 })}, callSpec},
		"spec NaN width":     {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.BinWidth = nan })}, callSpec},
		"spec infinite":      {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.BinWidth = math.Inf(1) })}, callSpec},
		"spec labels":        {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.InputLabels = []string{"a", "b", "c"} })}, callSpec},
		"spec loss kind":     {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.Loss = []*pluginv1.LossTerm{{Kind: 99}} })}, callSpec},
		"spec reduction":     {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.Loss = []*pluginv1.LossTerm{{Reduction: -4}} })}, callSpec},
		"spec horizon":       {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.Loss = []*pluginv1.LossTerm{{HorizonEpochs: -4}} })}, callSpec},
		"spec loop":          {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.Loop = &pluginv1.Loop{Actions: -1} })}, callSpec},
		"spec loop labels":   {hostile{taskSpec: spec(func(s *pluginv1.TaskSpec) { s.Loop = &pluginv1.Loop{StateLabels: []string{"x"}} })}, callSpec},

		"simulator negative":  {hostile{simSpec: &simulatorv1.SpecResponse{Neurons: -1}}, callSimSpec},
		"simulator held in":   {hostile{simSpec: &simulatorv1.SpecResponse{Neurons: 1, HeldIn: 2, To: 1}}, callSimSpec},
		"simulator bins":      {hostile{simSpec: &simulatorv1.SpecResponse{Neurons: 1, From: 2, To: 1}}, callSimSpec},
		"simulator file":      {hostile{simSpec: &simulatorv1.SpecResponse{To: 1, FileName: "../../etc/passwd"}}, callSimSpec},
		"simulator file long": {hostile{simSpec: &simulatorv1.SpecResponse{To: 1, FileName: strings.Repeat("a", 300)}}, callSimSpec},
		"simulator escape":    {hostile{simSpec: &simulatorv1.SpecResponse{To: 1, FileName: "\x1b[2J"}}, callSimSpec},

		"layout negative":     {hostile{layout: &modelv1.LayoutResponse{Size: -1}}, callLayout},
		"layout segments":     {hostile{layout: &modelv1.LayoutResponse{Size: 2, Segments: []*modelv1.Segment{{Size: math.MaxInt64}, {Size: math.MaxInt64}}}}, callLayout},
		"layout too few":      {hostile{layout: &modelv1.LayoutResponse{Size: 2, Segments: []*modelv1.Segment{{Size: 1}}}}, callLayout},
		"layout observable":   {hostile{layout: &modelv1.LayoutResponse{Observable: map[string]int64{"x": -5}}}, callLayout},
		"layout NaN":          {hostile{layout: &modelv1.LayoutResponse{BinWidth: nan}}, callLayout},
		"layout is not there": {hostile{err: status.Error(codes.Unimplemented, "no"), dynamics: array("x", 2, 2)}, callStep},

		"step nothing":     {hostile{}, callStep},
		"step rows":        {hostile{dynamics: array("x", 3, 2)}, callStep},
		"step few rows":    {hostile{dynamics: array("x", 1, 2)}, callStep},
		"step scalar":      {hostile{dynamics: array("x")}, callStep},
		"step no header":   {hostile{dynamics: &tensorv1.Tensor{}}, callStep},
		"step checksum":    {hostile{dynamics: &tensorv1.Tensor{Header: header("x", 1), Data: make([]byte, 8), Crc32C: 1}}, callStep},
		"step huge":        {hostile{dynamics: &tensorv1.Tensor{Header: header("x", math.MaxInt64, math.MaxInt64)}}, callStep},
		"observe nothing":  {hostile{}, callObserve},
		"observe huge":     {hostile{dynamics: array("x", 900, 2), layout: &modelv1.LayoutResponse{Observable: map[string]int64{"rates": math.MaxInt64}}}, callObserve},
		"jvp nothing":      {hostile{}, callJVP},
		"jvp rows":         {hostile{dynamics: array("x", 900, 2)}, callJVP},
		"vjp nothing":      {hostile{}, callVJP},
		"vjp rows":         {hostile{dynamics: array("x", 900, 2)}, callVJP},
		"load":             {hostile{err: status.Error(codes.FailedPrecondition, "no")}, callLoad},
		"open nothing":     {hostile{open: &pluginv1.OpenResponse{}}, callOpen},
		"open line feed":   {hostile{open: &pluginv1.OpenResponse{Instance: "a\nb"}}, callOpen},
		"open not ASCII":   {hostile{open: &pluginv1.OpenResponse{Instance: "é"}}, callOpen},
		"open long":        {hostile{open: &pluginv1.OpenResponse{Instance: strings.Repeat("a", 1<<20)}}, callOpen},
		"describe name":    {hostile{describe: &pluginv1.DescribeResponse{Components: []*pluginv1.Component{{Name: "task/../x"}}}}, callDescribe},
		"describe type":    {hostile{describe: field(&pluginv1.Field{Name: "x", Type: 99})}, callDescribe},
		"describe no type": {hostile{describe: field(&pluginv1.Field{Name: "x"})}, callDescribe},
		"unknown status":   {hostile{err: status.Error(codes.Code(4711), "what\x1b[31m")}, callDescribe},
	} {
		p := c.h.serve(t)
		refused(t, name, func() error { return c.call(p) })
	}
}

func spec(change func(*pluginv1.TaskSpec)) *taskv1.SpecResponse {
	s := &pluginv1.TaskSpec{Inputs: 2, Outputs: 2, Bins: 3}
	change(s)
	return &taskv1.SpecResponse{Spec: s}
}

func field(f *pluginv1.Field) *pluginv1.DescribeResponse {
	return &pluginv1.DescribeResponse{Components: []*pluginv1.Component{{Name: "task/x", Params: []*pluginv1.Field{f}}}}
}

func callDescribe(p *client.Plugin) error { _, err := p.Describe(ctx); return err }
func callOpen(p *client.Plugin) error {
	_, err := p.OpenTask(ctx, taskRef, nil, component.Env{})
	return err
}

func callSpec(p *client.Plugin) error {
	tk, err := p.OpenTask(ctx, taskRef, nil, component.Env{})
	if err == nil {
		_, err = tk.Spec(ctx)
	}
	return err
}

func callSimSpec(p *client.Plugin) error {
	s, err := p.OpenSimulator(ctx, component.Name{Kind: component.Simulator, Short: "x"}, nil, component.Env{}, simulator.Source{})
	if err == nil {
		_, err = s.Spec(ctx)
	}
	return err
}

func callLayout(p *client.Plugin) error { _, err := dynamicsOf(p); return err }

func dynamicsOf(p *client.Plugin) (model.Dynamics, error) {
	m, err := p.OpenModel(ctx, component.Name{Kind: component.Model, Short: "x"}, nil, component.Env{}, model.Target{Data: &model.DataSpec{}})
	if err != nil {
		return nil, err
	}
	return m.Dynamics(ctx)
}

func callLoad(p *client.Plugin) error {
	m, err := p.OpenModel(ctx, component.Name{Kind: component.Model, Short: "x"}, nil, component.Env{}, model.Target{Data: &model.DataSpec{}})
	if err != nil {
		return err
	}
	return m.Load(ctx, tensor.Set{tensor.New64("x", 1)})
}

func withDynamics(p *client.Plugin, call func(d model.Dynamics, state, input *tensor.Tensor) error) error {
	d, err := dynamicsOf(p)
	if err != nil {
		return err
	}
	return call(d, tensor.New64("state", 2, 2), tensor.New64("input", 2, 1))
}

func callStep(p *client.Plugin) error {
	return withDynamics(p, func(d model.Dynamics, x, u *tensor.Tensor) error { _, err := d.Step(ctx, x, u); return err })
}

func callObserve(p *client.Plugin) error {
	return withDynamics(p, func(d model.Dynamics, x, _ *tensor.Tensor) error { _, err := d.Observe(ctx, x, "rates"); return err })
}

func callJVP(p *client.Plugin) error {
	return withDynamics(p, func(d model.Dynamics, x, u *tensor.Tensor) error { _, err := d.JVP(ctx, x, u, x, u); return err })
}

func callVJP(p *client.Plugin) error {
	return withDynamics(p, func(d model.Dynamics, x, u *tensor.Tensor) error { _, _, err := d.VJP(ctx, x, u, x); return err })
}

func observation(t int64, more bool, o *taskv1.EpisodeObservation) *taskv1.EpisodeResponse {
	o.T, o.More = t, more
	return &taskv1.EpisodeResponse{Answer: &taskv1.EpisodeResponse_Observation{Observation: o}}
}

func cotangent(t int64, more bool, a *tensorv1.Tensor) *taskv1.EpisodeResponse {
	return &taskv1.EpisodeResponse{Answer: &taskv1.EpisodeResponse_Cotangent{Cotangent: &taskv1.EpisodeCotangent{T: t, More: more, Actions: a}}}
}

// An episode whose answers are wrong, or never come to an end.
func TestBadEpisodes(t *testing.T) {
	o := func(rows int64) *taskv1.EpisodeObservation {
		return &taskv1.EpisodeObservation{Inputs: array("inputs", rows, 1), State: array("state", rows, 2)}
	}
	first := observation(-1, false, &taskv1.EpisodeObservation{Inputs: array("inputs", 2, 1)})
	type answers = []*taskv1.EpisodeResponse
	for name, a := range map[string]answers{
		"nothing":             {},
		"nothing at begin":    {{}},
		"other bin":           {observation(3, false, o(2))},
		"cotangent":           {cotangent(-1, false, array("x", 2, 1))},
		"rows":                {observation(-1, false, o(3))},
		"few rows":            {observation(-1, false, o(1))},
		"scalar":              {observation(-1, false, &taskv1.EpisodeObservation{Inputs: array("x")})},
		"rows without end":    {observation(-1, true, o(1))},
		"no rows without end": {observation(-1, true, o(0))},
		"empty without end":   {observation(-1, true, &taskv1.EpisodeObservation{})},
		"recorded twice":      {observation(-1, false, &taskv1.EpisodeObservation{Recorded: []*tensorv1.Tensor{array("q", 2), array("q", 2)}})},
		"recorded rows":       {observation(-1, false, &taskv1.EpisodeObservation{Recorded: []*tensorv1.Tensor{array("q", 5)}})},
		"checksum":            {observation(-1, false, &taskv1.EpisodeObservation{Inputs: &tensorv1.Tensor{Header: header("x", 2), Data: make([]byte, 16), Crc32C: 5}})},

		"step nothing":     {first, {}},
		"step end":         {first},
		"step rows":        {first, observation(0, false, o(3))},
		"step without end": {first, observation(0, true, o(1))},

		"vjp nothing":     {first, observation(0, false, o(2)), {}},
		"vjp no array":    {first, observation(0, false, o(2)), cotangent(0, false, nil)},
		"vjp rows":        {first, observation(0, false, o(2)), cotangent(0, false, array("x", 3, 1))},
		"vjp few rows":    {first, observation(0, false, o(2)), cotangent(0, false, array("x", 1, 1))},
		"vjp without end": {first, observation(0, false, o(2)), cotangent(0, true, array("x", 0, 1))},
		"vjp rows on":     {first, observation(0, false, o(2)), cotangent(0, true, array("x", 1, 1))},
		"drop":            {first, observation(0, false, o(2)), cotangent(0, false, array("x", 2, 1)), first},
	} {
		h := &hostile{observations: a}
		tk, _, _, _ := open(t, h.serve(t))
		refused(t, name, func() error {
			e, _, err := tk.(task.ClosedLoop).Begin(ctx, task.EpisodeRequest{Split: task.Train, Trials: []int64{1, 2}})
			if err != nil {
				return err
			}
			defer e.End(ctx)
			if _, err := e.Step(ctx, 0, tensor.New64("actions", 2, 1)); err != nil {
				return err
			}
			if _, err := e.VJP(ctx, 0, tensor.New64("c", 2, 1), nil); err != nil {
				return err
			}
			return e.DropTape(ctx, 1)
		})
	}
}

// Scores whose parts contradict each other.
func TestBadScores(t *testing.T) {
	ints := func(name string, n int64, fill byte) *tensorv1.Tensor {
		a := array(name, n)
		a.Header.Dtype = tensorv1.DataType_DATA_TYPE_INT64
		for i := range a.Data {
			a.Data[i] = fill
		}
		a.Crc32C = crc(a.Data)
		return a
	}
	good := []*tensorv1.Tensor{ints("trials", 2, 0), array("success", 2), array("loss", 2)}
	for name, c := range map[string]struct {
		names  *taskv1.ScoreNames
		arrays []*tensorv1.Tensor
	}{
		"no trials":          {nil, good[1:]},
		"trials are floats":  {nil, []*tensorv1.Tensor{array("trials", 2), good[1], good[2]}},
		"no loss":            {nil, good[:2]},
		"lengths":            {nil, []*tensorv1.Tensor{good[0], array("success", 3), good[2]}},
		"metric":             {&taskv1.ScoreNames{Metrics: []string{"x"}}, good},
		"units":              {&taskv1.ScoreNames{Units: []string{"x", "y"}}, good},
		"condition":          {&taskv1.ScoreNames{Conditions: []string{"only"}}, append(good[:3:3], ints("condition", 2, 7))},
		"negative condition": {nil, append(good[:3:3], ints("condition", 2, 0xff))},
		"condition lengths":  {nil, append(good[:3:3], ints("condition", 3, 0))},
	} {
		h := &hostile{names: c.names, frames: whole(nil, c.arrays...)}
		tk, _, _, _ := open(t, h.serve(t))
		refused(t, name, func() error {
			_, err := tk.Score(ctx, task.ScoreRequest{Split: task.Valid}, tensor.Of())
			return err
		})
	}
}
