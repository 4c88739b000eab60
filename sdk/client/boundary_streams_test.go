package client_test

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	comparatorv1 "github.com/ctdb-host/ctdb/proto/ctdb/comparator/v1"
	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Trainings and comparisons that send what nobody asked for, or not what was.
func TestBadTrainingsAndComparisons(t *testing.T) {
	event := func(e *pluginv1.Event) *modelv1.TrainResponse {
		return &modelv1.TrainResponse{Response: &modelv1.TrainResponse_Event{Event: e}}
	}
	result := func(r *modelv1.TrainResult) *modelv1.TrainResponse {
		return &modelv1.TrainResponse{Response: &modelv1.TrainResponse_Result{Result: r}}
	}
	last := func(frames []*tensorv1.Frame) (out []*modelv1.TrainResponse) {
		for _, f := range frames {
			out = append(out, &modelv1.TrainResponse{Response: &modelv1.TrainResponse_Last{Last: f}})
		}
		return out
	}
	checkpoint := func(file string) *modelv1.TrainResponse {
		return event(&pluginv1.Event{Event: &pluginv1.Event_Checkpoint{Checkpoint: &pluginv1.Checkpoint{File: file}}})
	}
	want := &modelv1.TrainResponse{Response: &modelv1.TrainResponse_Want{Want: &modelv1.TrainWant{Sequence: 1, Split: taskv1.Split_SPLIT_TRAIN, Blocks: 1}}}
	figure := &pluginv1.Figure{Name: "f", Panels: []*pluginv1.Panel{{Marks: []*pluginv1.Mark{{Kind: pluginv1.MarkKind_MARK_KIND_LINE, X: []float64{1}}}}}}
	trainings := map[string][]*modelv1.TrainResponse{
		"nothing":        nil,
		"no weights":     {result(&modelv1.TrainResult{HasLast: true})},
		"negative steps": {result(&modelv1.TrainResult{Steps: -1})},
		"two sets":       append(last(whole(nil, array("x", 1))[:1]), last(whole(nil, array("x", 1)))...),
		"trials":         last(whole([]int64{1}, array("x", 1))),
		"figure":         {event(&pluginv1.Event{Event: &pluginv1.Event_Figure{Figure: figure}})},
		"escapes":        {checkpoint("../../../home/user/.bashrc")},
		"absolute":       {checkpoint("/etc/passwd")},
		"no file":        {checkpoint("")},
		"wants data":     {want},
		"after the end":  {result(&modelv1.TrainResult{}), result(&modelv1.TrainResult{})},
	}
	for name, frames := range badFrames() {
		// The sequence is not asked to end before the result comes.
		if name != "nothing" {
			trainings["last: "+name] = last(frames)
		}
	}
	for name, m := range trainings {
		h := &hostile{training: m}
		p := h.serve(t)
		_, md, _, _ := open(t, p)
		refused(t, "train: "+name, func() error {
			if name == "after the end" {
				_, err := md.Train(ctx, model.TrainRequest{}, nil)
				if err == nil {
					return component.ErrInvalidArgument // what comes after the result is not read
				}
				return err
			}
			_, err := md.Train(ctx, model.TrainRequest{}, nil)
			return err
		})
	}

	fig := func(f *pluginv1.Figure) *comparatorv1.CompareResponse {
		return &comparatorv1.CompareResponse{Response: &comparatorv1.CompareResponse_Figure{Figure: f}}
	}
	dot := func(name string) *comparatorv1.CompareResponse {
		return fig(&pluginv1.Figure{Name: name, Panels: []*pluginv1.Panel{{}}})
	}
	grid := func(rows, cols int64) *comparatorv1.CompareResponse {
		return fig(&pluginv1.Figure{Name: "f", Panels: []*pluginv1.Panel{{Marks: []*pluginv1.Mark{{Kind: pluginv1.MarkKind_MARK_KIND_IMAGE, Rows: rows, Cols: cols, Z: []float64{1}}}}}})
	}
	many := make([]*comparatorv1.CompareResponse, 1200)
	for i := range many {
		many[i] = dot(strings.Repeat("a", 1+i%1100))
	}
	comparisons := map[string][]*comparatorv1.CompareResponse{
		"nothing":        nil,
		"figure twice":   {dot("a"), dot("a")},
		"figure name":    {dot("../a")},
		"figure columns": {fig(&pluginv1.Figure{Name: "f", Columns: -1, Panels: []*pluginv1.Panel{{}}})},
		"figure kind":    {fig(&pluginv1.Figure{Name: "f", Panels: []*pluginv1.Panel{{Marks: []*pluginv1.Mark{{Kind: 99}}}}})},
		"huge grid":      {grid(math.MaxInt64, math.MaxInt64)},
		"negative grid":  {grid(-1, -1)},
		"many figures":   many,
	}
	for name, frames := range badFrames() {
		if name == "nothing" {
			continue
		}
		var m []*comparatorv1.CompareResponse
		for _, f := range frames {
			m = append(m, &comparatorv1.CompareResponse{Response: &comparatorv1.CompareResponse_Matrices{Matrices: f}})
		}
		comparisons["matrices: "+name] = m
	}
	for name, m := range comparisons {
		h := &hostile{comparison: m}
		_, _, _, c := open(t, h.serve(t))
		refused(t, "compare: "+name, func() error {
			_, err := c.Compare(ctx, comparator.Request{Subjects: []comparator.Subject{{Label: "a", Role: comparator.Truth}}}, nil)
			return err
		})
	}
}

// What a peer says reaches people without what a terminal would obey.
func TestTextsAreClean(t *testing.T) {
	evil := "red \x1b[31m\u202e\r\x00" + strings.Repeat("x", 100_000)
	h := &hostile{
		validate:   &pluginv1.ValidateResponse{Problems: []*pluginv1.Problem{{Path: evil, Message: evil, Hint: evil}}, MemoryBytes: -5},
		health:     &pluginv1.HealthResponse{Activities: []*pluginv1.Activity{{Instance: "x", Last: &pluginv1.Progress{Phase: evil}}}},
		comparison: []*comparatorv1.CompareResponse{{Response: &comparatorv1.CompareResponse_Result{Result: &comparatorv1.Result{Metric: evil, Reason: evil}}}, {Response: &comparatorv1.CompareResponse_Done{}}},
	}
	p := h.serve(t)
	var said []string
	v, err := p.Validate(ctx, client.ValidateRequest{Name: taskRef})
	if err != nil || len(v.Problems) != 1 || v.MemoryBytes != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	said = append(said, v.Problems[0].Path, v.Problems[0].Message, v.Problems[0].Hint)
	health, err := p.Health(ctx)
	if err != nil {
		t.Fatal(err)
	}
	said = append(said, health.Last["x"].Phase)
	_, _, _, c := open(t, p)
	out, err := c.Compare(ctx, comparator.Request{Subjects: []comparator.Subject{{Label: "a", Role: comparator.Truth}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	said = append(said, out.Results[0].Metric, out.Results[0].Reason)
	for _, code := range []codes.Code{codes.Internal, codes.NotFound, codes.InvalidArgument, codes.Canceled, codes.Code(99)} {
		h.err = status.Error(code, evil[:2000])
		_, err := p.Describe(ctx)
		if err == nil {
			t.Fatal("no error")
		}
		said = append(said, err.Error())
	}
	for _, s := range said {
		if strings.ContainsAny(s, "\x1b\u202e\r\x00") || len(s) > 5000 || !strings.Contains(s, "red") {
			t.Errorf("%d bytes: %.60q", len(s), s)
		}
	}
}

// A sequence of the caller's that panics ends the call and not the process.
func TestPanicInASequence(t *testing.T) {
	h := &hostile{frames: []*tensorv1.Frame{{End: &tensorv1.BlocksEnd{}}}}
	_, m, s, _ := open(t, h.serve(t))
	bomb := func(func(tensor.Block, error) bool) { panic("boom") }
	for name, call := range map[string]func() error{
		"fit":     func() error { _, err := s.Fit(ctx, bomb); return err },
		"rollout": func() error { _, err := tensor.Collect(m.Rollout(ctx, model.RolloutRequest{}, bomb)); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
