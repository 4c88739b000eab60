package reach

import (
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func open(t testing.TB, seed uint64, threads int, values param.Values) *reach {
	t.Helper()
	f := Factory()
	v, problems := f.Info.Params.Resolve(values)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	k, err := f.Open(t.Context(), v, component.Env{Seed: seed, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return k.(*reach)
}

func collect(t testing.TB, blocks tensor.Blocks) tensor.Block {
	t.Helper()
	b, err := tensor.Collect(blocks)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	return b
}
