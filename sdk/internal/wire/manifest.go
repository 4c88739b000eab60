package wire

import (
	"fmt"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// ToManifest returns the message of a manifest.
func ToManifest(m component.Manifest) *pluginv1.DescribeResponse {
	out := &pluginv1.DescribeResponse{
		Name: m.Name, Version: m.Version, Doc: m.Doc, Protocol: int64(m.Protocol), Language: m.Language, Build: m.Build, Numerics: m.Numerics,
	}
	for _, c := range m.Components {
		one := &pluginv1.Component{
			Name: c.Name.String(), Version: c.Version, Doc: c.Doc, Source: c.Source, Params: ToSchema(c.Params), Capabilities: FromCapabilities(c.Capabilities),
		}
		for _, r := range c.Readings {
			one.Readings = append(one.Readings, &pluginv1.Reading{Metric: r.Metric, Text: r.Text, Source: r.Source})
		}
		out.Components = append(out.Components, one)
	}
	return out
}

// FromManifest reads the message of a manifest. A component with a malformed name or schema is an InvalidArgumentError.
func FromManifest(m *pluginv1.DescribeResponse) (component.Manifest, error) {
	out := component.Manifest{
		Name: m.GetName(), Version: m.GetVersion(), Doc: m.GetDoc(), Protocol: int(m.GetProtocol()), Language: m.GetLanguage(), Build: m.GetBuild(), Numerics: m.GetNumerics(),
	}
	for i, c := range m.GetComponents() {
		name, err := component.ParseName(c.GetName())
		if err != nil {
			return out, component.Invalid(fmt.Sprintf("manifest.components[%d].name", i), "%v", err)
		}
		schema, err := FromSchema(c.GetParams())
		if err != nil {
			return out, fmt.Errorf("wire: %s: %w", name, err)
		}
		one := component.Info{
			Name: name, Version: c.GetVersion(), Doc: c.GetDoc(), Source: c.GetSource(), Params: schema, Capabilities: ToCapabilities(c.GetCapabilities()),
		}
		for _, r := range c.GetReadings() {
			one.Readings = append(one.Readings, component.Reading{Metric: r.GetMetric(), Text: r.GetText(), Source: r.GetSource()})
		}
		out.Components = append(out.Components, one)
	}
	return out, nil
}

// ToCapabilities reads the names of capabilities; nil for none.
func ToCapabilities(names []string) []component.Capability {
	var out []component.Capability
	for _, n := range names {
		out = append(out, component.Capability(n))
	}
	return out
}

// FromCapabilities returns the names of capabilities.
func FromCapabilities(list []component.Capability) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = string(c)
	}
	return out
}
