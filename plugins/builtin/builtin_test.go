package builtin

import (
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

// TestManifest holds what every component must say of itself.
func TestManifest(t *testing.T) {
	m := Plugin().Manifest()
	version := regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	if m.Name != "builtin" || !version.MatchString(m.Version) || m.Numerics["kernel"] == "" {
		t.Errorf("manifest %+v", m)
	}
	for _, c := range m.Components {
		n, err := component.ParseName(c.Name.String())
		if err != nil || n != c.Name {
			t.Errorf("%s: %v", c.Name, err)
		}
		if !version.MatchString(c.Version) || c.Doc == "" || strings.Contains(c.Doc, "\n") || !c.Can(component.Deterministic) {
			t.Errorf("%+v", c)
		}
		for _, f := range c.Params {
			if f.Default == nil {
				t.Errorf("%s: parameter %s has no default", c.Name, f.Name)
			}
		}
	}
	for _, name := range []string{"task/multitask", "task/nbff", "task/random-target", "model/gru", "model/noisy-gru", "model/noisy-gru-latent-l2", "model/sae-gru", "simulator/spikes", "comparator/dsa", "comparator/fixedpoints", "comparator/metrics", "comparator/shape", "comparator/spectra"} {
		n, err := component.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.Find(n); !ok {
			t.Errorf("%s is not registered", name)
		}
	}
	// Names given twice panic.
	s := grpc.NewServer(serve.ServerOptions()...)
	defer s.Stop()
	serve.Register(s, Plugin(), serve.Options{})
}
