package plugintest

import (
	"context"
	"fmt"
	"reflect"

	"github.com/ctdb-host/ctdb/sdk/component"
)

func pluginChecks() []check {
	return []check{
		{name: "manifest", doc: "the manifest is complete and well formed, and the same whenever it is asked for", run: manifest},
	}
}

// endChecks are for the end: they leave nothing to be called.
func endChecks() []check { return nil }

func manifest(ctx context.Context, s *subject, v *Verdict) error {
	p, err := s.plugin(ctx)
	if err != nil {
		return err
	}
	again, err := p.Describe(ctx)
	if err != nil {
		return fmt.Errorf("Describe: %w", err)
	}
	if !reflect.DeepEqual(fmt.Sprint(again), fmt.Sprint(s.manifest)) {
		v.Failf("asked twice, the manifest is not the same: it may depend on nothing but the executable")
	}
	if len(s.manifest.Components) == 0 {
		v.Failf("the plugin has no components")
	}
	seen := map[component.Name]bool{}
	for _, c := range s.manifest.Components {
		if seen[c.Name] {
			v.Failf("component %s is declared twice", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}
