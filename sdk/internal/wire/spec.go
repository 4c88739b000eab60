package wire

import (
	"fmt"
	"strings"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	simulatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/simulator/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

var splits = pairs[task.Split, taskv1.Split]{
	{task.Train, taskv1.Split_SPLIT_TRAIN},
	{task.Valid, taskv1.Split_SPLIT_VALID},
	{task.All, taskv1.Split_SPLIT_ALL},
}

var terms = pairs[task.TermKind, pluginv1.LossTermKind]{
	{task.SquaredError, pluginv1.LossTermKind_LOSS_TERM_KIND_SQUARED_ERROR},
	{task.PoissonNLL, pluginv1.LossTermKind_LOSS_TERM_KIND_POISSON_NLL},
	{task.ActionSquare, pluginv1.LossTermKind_LOSS_TERM_KIND_ACTION_SQUARE},
	{task.LatentSquare, pluginv1.LossTermKind_LOSS_TERM_KIND_LATENT_SQUARE},
	{task.Custom, pluginv1.LossTermKind_LOSS_TERM_KIND_CUSTOM},
}

var reductions = pairs[task.Reduction, pluginv1.LossReduction]{
	{task.MeanAll, pluginv1.LossReduction_LOSS_REDUCTION_MEAN},
	{task.SumTime, pluginv1.LossReduction_LOSS_REDUCTION_SUM_TIME},
}

// ToSplit returns the enumeration's value of a split; one that is not known is an InvalidArgumentError.
func ToSplit(s task.Split) (taskv1.Split, error) {
	p, ok := splits.to(s)
	if !ok {
		return p, component.Invalid("split", "%q: train, valid or all is needed", s)
	}
	return p, nil
}

// FromSplit reads a split; one that is not known is an InvalidArgumentError.
func FromSplit(s taskv1.Split) (task.Split, error) {
	g, ok := splits.from(s)
	if !ok {
		return g, component.Invalid("split", "%d: train, valid or all is needed", s)
	}
	return g, nil
}

// sizes narrows numbers from the wire that count something, and remembers the first that cannot.
type sizes struct{ err error }

func (s *sizes) int(path string, n int64) int {
	if s.err == nil && (n < 0 || int64(int(n)) != n) {
		s.err = component.Invalid(path, "%d: a number of at least 0 is needed", n)
	}
	return int(n)
}

// ToSpec returns the message of a task's spec, nil for nil.
func ToSpec(s *task.Spec) (*pluginv1.TaskSpec, error) {
	if s == nil {
		return nil, nil
	}
	out := &pluginv1.TaskSpec{
		Inputs: int64(s.Inputs), Outputs: int64(s.Outputs),
		InputLabels: s.InputLabels, OutputLabels: s.OutputLabels, InputUnits: s.InputUnits, OutputUnits: s.OutputUnits,
		Bins: int64(s.Bins), BinWidth: s.BinWidth, TrainTrials: int64(s.TrainTrials), ValidTrials: int64(s.ValidTrials),
		ConditionNames: s.ConditionNames, Extra: s.Extra, ExtraUnits: s.ExtraUnits, FreshNoise: s.FreshNoise, GroupBatches: s.GroupBatches,
		TrimFrom: int64(s.Trim[0]), TrimTo: int64(s.Trim[1]),
	}
	for i, t := range s.Loss.Terms {
		kind, ok := terms.to(t.Kind)
		if !ok {
			return nil, component.Invalid(fmt.Sprintf("spec.loss[%d].kind", i), "%q is not a kind of loss term", t.Kind)
		}
		reduction, ok := reductions.to(t.Reduction)
		if !ok {
			return nil, component.Invalid(fmt.Sprintf("spec.loss[%d].reduction", i), "%q is not a reduction", t.Reduction)
		}
		out.Loss = append(out.Loss, &pluginv1.LossTerm{Kind: kind, Scale: t.Scale, Reduction: reduction, HorizonEpochs: int64(t.HorizonEpochs)})
	}
	if l := s.Loop; l != nil {
		out.Loop = &pluginv1.Loop{
			Actions: int64(l.Actions), ActionLow: l.ActionLow, ActionHigh: l.ActionHigh, StateSize: int64(l.StateSize),
			StateLabels: l.StateLabels, FeedbackDelay: l.FeedbackDelay, Recorded: l.Recorded,
		}
	}
	if len(s.Simulation) > 0 {
		var err error
		if out.Simulation, err = ToValues(s.Simulation); err != nil {
			return nil, fmt.Errorf("wire: spec.simulation: %w", err)
		}
	}
	return out, nil
}

// FromSpec reads a task's spec, nil for nil.
func FromSpec(m *pluginv1.TaskSpec) (*task.Spec, error) {
	if m == nil {
		return nil, nil
	}
	var n sizes
	out := &task.Spec{
		Inputs: n.int("spec.inputs", m.GetInputs()), Outputs: n.int("spec.outputs", m.GetOutputs()),
		InputLabels: m.GetInputLabels(), OutputLabels: m.GetOutputLabels(), InputUnits: m.GetInputUnits(), OutputUnits: m.GetOutputUnits(),
		Bins: n.int("spec.bins", m.GetBins()), BinWidth: m.GetBinWidth(),
		TrainTrials: n.int("spec.train_trials", m.GetTrainTrials()), ValidTrials: n.int("spec.valid_trials", m.GetValidTrials()),
		ConditionNames: m.GetConditionNames(), Extra: m.GetExtra(), ExtraUnits: m.GetExtraUnits(), FreshNoise: m.GetFreshNoise(), GroupBatches: m.GetGroupBatches(),
		Trim: [2]int{int(m.GetTrimFrom()), int(m.GetTrimTo())},
	}
	for i, t := range m.GetLoss() {
		kind, ok := terms.from(t.GetKind())
		if !ok {
			return nil, component.Invalid(fmt.Sprintf("spec.loss[%d].kind", i), "%d is not a kind of loss term", t.GetKind())
		}
		reduction, ok := reductions.from(t.GetReduction())
		if !ok {
			return nil, component.Invalid(fmt.Sprintf("spec.loss[%d].reduction", i), "%d is not a reduction", t.GetReduction())
		}
		out.Loss.Terms = append(out.Loss.Terms, task.Term{
			Kind: kind, Scale: t.GetScale(), Reduction: reduction, HorizonEpochs: n.int(fmt.Sprintf("spec.loss[%d].horizon_epochs", i), t.GetHorizonEpochs()),
		})
	}
	if l := m.GetLoop(); l != nil {
		out.Loop = &task.Loop{
			Actions: n.int("spec.loop.actions", l.GetActions()), ActionLow: l.GetActionLow(), ActionHigh: l.GetActionHigh(),
			StateSize: n.int("spec.loop.state_size", l.GetStateSize()), StateLabels: l.GetStateLabels(), FeedbackDelay: l.GetFeedbackDelay(), Recorded: l.GetRecorded(),
		}
	}
	if len(m.GetSimulation()) > 0 {
		out.Simulation = FromValues(m.GetSimulation())
	}
	if n.err != nil {
		return out, n.err
	}
	return out, checkSpec(out)
}

// checkSpec reports what the parts of a spec say of each other that cannot be.
func checkSpec(s *task.Spec) error {
	for _, l := range []struct {
		path  string
		n     int
		per   []string
		units bool
	}{
		{"spec.input_labels", s.Inputs, s.InputLabels, false}, {"spec.input_units", s.Inputs, s.InputUnits, true},
		{"spec.output_labels", s.Outputs, s.OutputLabels, false}, {"spec.output_units", s.Outputs, s.OutputUnits, true},
		{"spec.extra_units", len(s.Extra), s.ExtraUnits, true},
	} {
		if len(l.per) != 0 && len(l.per) != l.n && !(l.units && len(l.per) == 1) {
			return component.Invalid(l.path, "%d for %d channels: none or one for each is needed", len(l.per), l.n)
		}
	}
	if l := s.Loop; l != nil && len(l.StateLabels) != 0 && len(l.StateLabels) != l.StateSize {
		return component.Invalid("spec.loop.state_labels", "%d for %d channels: none or one for each is needed", len(l.StateLabels), l.StateSize)
	}
	return width("spec.bin_width", s.BinWidth)
}

// ToTarget returns the message of what a model must fit, nil where neither is known.
func ToTarget(t model.Target) (*pluginv1.Target, error) {
	switch {
	case t.Task != nil && t.Data != nil:
		return nil, component.Invalid("target", "a task and a data set are given: one is needed")
	case t.Task != nil:
		s, err := ToSpec(t.Task)
		return &pluginv1.Target{Target: &pluginv1.Target_Task{Task: s}, Distant: t.Distant}, err
	case t.Data != nil:
		return &pluginv1.Target{Target: &pluginv1.Target_Data{Data: toData(t.Data)}}, nil
	}
	return nil, nil
}

func toData(d *model.DataSpec) *pluginv1.DataSpec {
	return &pluginv1.DataSpec{
		Neurons: int64(d.Neurons), HeldIn: int64(d.HeldIn), Inputs: int64(d.Inputs), Bins: int64(d.Bins), BinWidth: d.BinWidth,
		TrainTrials: int64(d.TrainTrials), ValidTrials: int64(d.ValidTrials),
	}
}

func fromData(d *pluginv1.DataSpec) (*model.DataSpec, error) {
	var n sizes
	return &model.DataSpec{
		Neurons: n.int("data.neurons", d.GetNeurons()), HeldIn: n.int("data.held_in", d.GetHeldIn()), Inputs: n.int("data.inputs", d.GetInputs()),
		Bins: n.int("data.bins", d.GetBins()), BinWidth: d.GetBinWidth(),
		TrainTrials: n.int("data.train_trials", d.GetTrainTrials()), ValidTrials: n.int("data.valid_trials", d.GetValidTrials()),
	}, n.err
}

// ToComparison returns the message of what a comparator will compare.
func ToComparison(s comparator.Sizes) *pluginv1.Target {
	c := &pluginv1.Comparison{Subjects: int64(s.Subjects), Latents: int64(s.Latents)}
	if s.Data != nil {
		c.Data = toData(s.Data)
	}
	return &pluginv1.Target{Target: &pluginv1.Target_Comparison{Comparison: c}}
}

// FromComparison reads what a comparator will compare; zero where it is absent.
func FromComparison(m *pluginv1.Target) (comparator.Sizes, error) {
	switch m.GetTarget().(type) {
	case nil:
		return comparator.Sizes{}, nil
	case *pluginv1.Target_Comparison:
	default:
		return comparator.Sizes{}, component.Invalid("target", "a model's or a simulator's target is given to a comparator")
	}
	var n sizes
	c := m.GetComparison()
	s := comparator.Sizes{Subjects: n.int("comparison.subjects", c.GetSubjects()), Latents: n.int("comparison.latents", c.GetLatents())}
	if n.err != nil || c.GetData() == nil {
		return s, n.err
	}
	var err error
	s.Data, err = fromData(c.GetData())
	return s, err
}

// FromTarget reads what a model must fit.
func FromTarget(m *pluginv1.Target) (model.Target, error) {
	var out model.Target
	var err error
	switch t := m.GetTarget().(type) {
	case *pluginv1.Target_Task:
		out.Distant = m.GetDistant()
		out.Task, err = FromSpec(t.Task)
	case *pluginv1.Target_Data:
		out.Data, err = fromData(t.Data)
	case *pluginv1.Target_Source:
		err = component.Invalid("target", "a simulator's source is given to a model")
	case *pluginv1.Target_Comparison:
		err = component.Invalid("target", "a comparator's target is given to a model")
	}
	return out, err
}

// ToSource returns the message of what a simulator must fit.
func ToSource(s simulator.Source) (*pluginv1.Target, error) {
	spec, err := ToSpec(s.Task)
	if err != nil {
		return nil, err
	}
	return &pluginv1.Target{Target: &pluginv1.Target_Source{Source: &pluginv1.Source{Latents: int64(s.Latents), Bins: int64(s.Bins), Task: spec}}}, nil
}

// FromSource reads what a simulator must fit; zero where it is absent.
func FromSource(m *pluginv1.Target) (simulator.Source, error) {
	switch m.GetTarget().(type) {
	case nil:
		return simulator.Source{}, nil
	case *pluginv1.Target_Source:
	default:
		return simulator.Source{}, component.Invalid("target", "a model's target is given to a simulator")
	}
	spec, err := FromSpec(m.GetSource().GetTask())
	if err != nil {
		return simulator.Source{}, err
	}
	var n sizes
	s := simulator.Source{Latents: n.int("source.latents", m.GetSource().GetLatents()), Bins: n.int("source.bins", m.GetSource().GetBins()), Task: spec}
	return s, n.err
}

// ToSimulated returns the message of a simulator's spec.
func ToSimulated(s simulator.Spec) *simulatorv1.SpecResponse {
	return &simulatorv1.SpecResponse{
		Neurons: int64(s.Neurons), HeldIn: int64(s.HeldIn), From: int64(s.From), To: int64(s.To), FileName: s.FileName, Counts: s.Counts,
	}
}

// FromSimulated reads a simulator's spec.
func FromSimulated(m *simulatorv1.SpecResponse) (simulator.Spec, error) {
	var n sizes
	s := simulator.Spec{
		Neurons: n.int("spec.neurons", m.GetNeurons()), HeldIn: n.int("spec.held_in", m.GetHeldIn()),
		From: n.int("spec.from", m.GetFrom()), To: n.int("spec.to", m.GetTo()), FileName: m.GetFileName(), Counts: m.GetCounts(),
	}
	switch {
	case n.err != nil:
		return s, n.err
	case s.HeldIn > s.Neurons:
		return s, component.Invalid("spec.held_in", "%d of %d neurons", s.HeldIn, s.Neurons)
	case s.From > s.To:
		return s, component.Invalid("spec.from", "bins %d to %d: the end is before the beginning", s.From, s.To)
	case strings.ContainsAny(s.FileName, "/\\"):
		return s, component.Invalid("spec.file_name", "%.100q: a name without a folder is needed", s.FileName)
	}
	return s, component.CheckText("spec.file_name", s.FileName, maxFileName)
}

// maxFileName is the longest name that common file systems take, in bytes.
const maxFileName = 255

// ToLayout returns the message of a state's layout.
func ToLayout(l model.Layout) *modelv1.LayoutResponse {
	out := &modelv1.LayoutResponse{Size: int64(l.Size), Inputs: int64(l.Inputs), BinWidth: l.BinWidth, Float64: l.Float64}
	for _, s := range l.Segments {
		out.Segments = append(out.Segments, &modelv1.Segment{Name: s.Name, Size: int64(s.Size)})
	}
	if len(l.Observable) > 0 {
		out.Observable = make(map[string]int64, len(l.Observable))
		for role, width := range l.Observable {
			out.Observable[role] = int64(width)
		}
	}
	return out
}

// FromLayout reads a state's layout.
func FromLayout(m *modelv1.LayoutResponse) (model.Layout, error) {
	var n sizes
	out := model.Layout{Size: n.int("layout.size", m.GetSize()), Inputs: n.int("layout.inputs", m.GetInputs()), BinWidth: m.GetBinWidth(), Float64: m.GetFloat64()}
	for _, s := range m.GetSegments() {
		out.Segments = append(out.Segments, model.Segment{Name: s.GetName(), Size: n.int("layout.segments."+s.GetName(), s.GetSize())})
	}
	if len(m.GetObservable()) > 0 {
		out.Observable = make(map[string]int, len(m.GetObservable()))
		for role, width := range m.GetObservable() {
			out.Observable[role] = n.int("layout.observable."+role, width)
		}
	}
	if n.err != nil {
		return out, n.err
	}
	left := out.Size
	for _, s := range out.Segments {
		if s.Size > left {
			return out, component.Invalid("layout.segments", "they are larger than the state, %d", out.Size)
		}
		left -= s.Size
	}
	if left > 0 && len(out.Segments) > 0 {
		return out, component.Invalid("layout.segments", "they leave %d of the state's %d elements over", left, out.Size)
	}
	return out, width("layout.bin_width", out.BinWidth)
}
