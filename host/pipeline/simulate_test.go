package pipeline

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Latents that the store's disk has no room for are refused before they are rolled out, with what to do about it.
func TestRoomForLatents(t *testing.T) {
	r := &running{scratch: t.TempDir()}
	b := tensor.Block{Trials: []int64{0, 1}, Arrays: tensor.Set{tensor.New32(model.Latents, 2, 3, 4)}}
	if err := r.roomFor(b, 10); err != nil {
		t.Errorf("room for ten trials: %v", err)
	}
	err := r.roomFor(b, 1<<50)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error is %v", err)
	}
	for _, want := range []string{"simulating 1125899906842624 trials takes about 48 PiB of disk", r.scratch, "`ctdb-host store gc`", "--store or CTDB_STORE"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}
