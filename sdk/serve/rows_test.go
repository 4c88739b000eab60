package serve_test

import (
	"context"
	"errors"
	"hash/crc32"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
)

// An episode takes as many rows as it has trials, however many messages they come in: a caller that never comes to an end is refused.
func TestEpisodeRowsAreBounded(t *testing.T) {
	p := inMemory(t)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "ctdb-token", "secret")
	i, err := pluginv1.NewPluginServiceClient(p.conn).Open(ctx, &pluginv1.OpenRequest{Component: "task/point-mass", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	rows := func(n int64) *tensorv1.Tensor {
		data := make([]byte, 8*2*n)
		return &tensorv1.Tensor{
			Header: &tensorv1.Header{Name: "x", Dtype: tensorv1.DataType_DATA_TYPE_FLOAT64, Shape: []int64{n, 2}}, Data: data,
			Crc32C: crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)),
		}
	}
	step := func(n int64, more bool) *taskv1.EpisodeRequest {
		return &taskv1.EpisodeRequest{Call: &taskv1.EpisodeRequest_Step{Step: &taskv1.EpisodeStep{Actions: rows(n), More: more}}}
	}
	vjp := func(inputs, state int64, more bool) *taskv1.EpisodeRequest {
		return &taskv1.EpisodeRequest{Call: &taskv1.EpisodeRequest_Vjp{Vjp: &taskv1.EpisodeVjp{Inputs: rows(inputs), State: rows(state), More: more}}}
	}
	scalar := step(1, false)
	scalar.GetStep().Actions.Header.Shape = nil
	scalar.GetStep().Actions.Data = make([]byte, 8)
	scalar.GetStep().Actions.Crc32C = crc32.Checksum(make([]byte, 8), crc32.MakeTable(crc32.Castagnoli))
	for name, calls := range map[string][]*taskv1.EpisodeRequest{
		"too many at once":    {step(4, false)},
		"too many in pieces":  {step(2, true), step(2, true)},
		"too few":             {step(2, false)},
		"a scalar":            {scalar},
		"cotangents":          {vjp(2, 2, true), vjp(2, 0, true)},
		"cotangents of state": {vjp(2, 4, false)},
		"too few cotangents":  {vjp(1, 1, false)},
	} {
		stream, err := taskv1.NewTaskServiceClient(p.conn).Episode(metadata.AppendToOutgoingContext(ctx, "ctdb-instance", i.GetInstance()))
		if err != nil {
			t.Fatal(err)
		}
		begin := &taskv1.EpisodeBegin{Split: taskv1.Split_SPLIT_TRAIN, Trials: []int64{0, 1, 2}, Float64: true, Tape: true}
		calls = append([]*taskv1.EpisodeRequest{{Call: &taskv1.EpisodeRequest_Begin{Begin: begin}}}, calls...)
		for _, c := range calls {
			if err := stream.Send(c); err != nil {
				break // the reason comes with the answer
			}
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatalf("%s: begin: %v", name, err)
		}
		_, err = stream.Recv()
		if code := status.Code(err); err == nil || errors.Is(err, context.Canceled) || (code != codes.FailedPrecondition && code != codes.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
