package pipeline

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
)

// What a run takes out of its folder, or replaces by something else, is told in the log: the stages by their names, and nothing where all is as it was.
func TestDisplacedIsTold(t *testing.T) {
	h := toyHost(t, 2, 2)
	for _, c := range []struct {
		name          string
		before, after *experiment.Study
		want          map[string]any
		shard         string // of the one after
	}{
		{"the same", study(t, h, toyStudy), study(t, h, toyStudy), nil, ""},
		{"another parameter", study(t, h, toyStudy), study(t, h, toyStudy, "fit.a.params.steps=3"), map[string]any{"replaced": "compare/c and fit/a"}, ""},
		{"another name", study(t, h, toyStudy), study(t, h, toyStudy, "fit.a.name=b"), map[string]any{"removed": "fit/a", "replaced": "compare/c"}, ""},
		{"another seed", study(t, h, toyStudy), study(t, h, toyStudy, "seed=3"), map[string]any{"replaced": "compare/c, fit/a, simulate, and train"}, ""},
		{"the same study", study(t, h, fourPoints), study(t, h, fourPoints), nil, ""},
		{"a study of other parameters", study(t, h, fourPoints), study(t, h, fourPoints, "fit.a.params.steps=3"), map[string]any{"replaced": "compare/c of 4 points and fit/a of 4 points"}, ""},
		{"a study over a single run", study(t, h, toyStudy), study(t, h, toyStudy+"seeds: [0, 1]\n"), map[string]any{"removed": "compare/c, fit/a, simulate, and train"}, ""},
		{"a single run over a study", study(t, h, toyStudy+"seeds: [0, 1]\n"), study(t, h, toyStudy), map[string]any{"removed_points": "seed-0 and seed-1"}, ""},
		{"a share of a study of other parameters", study(t, h, fourPoints), study(t, h, fourPoints, "fit.a.params.steps=3"),
			map[string]any{"replaced": "compare/c of 2 points and fit/a of 2 points", "removed_points": "seed-1_latent-3 and seed-1_latent-4"}, "1/2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if err := execute(t, Run{Study: c.before, Host: h, Out: out}); err != nil {
				t.Fatal(err)
			}
			if err := execute(t, Run{Study: c.after, Host: h, Out: out, Shard: c.shard}); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(out, artifact.ShardFile(artifact.LogFile, c.shard)))
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			for line := range strings.Lines(string(b)) {
				var r map[string]any
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatal(err)
				}
				if text, _ := r["msg"].(string); strings.Contains(text, "held other results") {
					if !strings.Contains(text, "the store keeps them") || r["level"] != "WARN" {
						t.Errorf("told %v", r)
					}
					delete(r, "time")
					delete(r, "level")
					delete(r, "msg")
					got = r
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("told %v, want %v", got, c.want)
			}
		})
	}
}
