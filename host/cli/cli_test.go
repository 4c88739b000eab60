package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestFlagsComeFirst(t *testing.T) {
	app := Program{}.app()
	for _, c := range []struct{ given, want string }{
		{"h", "h"},
		{"h run a.yaml", "h run a.yaml"},
		{"h run a.yaml --jobs 2 --quiet", "h run --jobs 2 --quiet a.yaml"},
		{"h run a.yaml -q b.yaml --out=x", "h run -q --out=x a.yaml b.yaml"},
		{"h run a.yaml --store DIR --set a=1", "h --store DIR run --set a=1 a.yaml"},
		{"h --plugin-dir P run a.yaml --plugin-dir=Q", "h --plugin-dir P --plugin-dir=Q run a.yaml"},
		{"h plugin list --json --store D", "h --store D plugin list --json"},
		{"h run -- --odd.yaml --jobs", "h run -- --odd.yaml --jobs"},
		{"h run a.yaml --nosuch", "h run --nosuch a.yaml"},
		{"h run a.yaml --jobs", "h run --jobs a.yaml"},
		{"h help run", "h help run"},
		{"h nosuch run --x", "h --x nosuch run"},
		{"h nosuch --x y", "h --x nosuch y"},
	} {
		if got := takeApart(app, strings.Fields(c.given)).args; !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s: got %s, want %s", c.given, strings.Join(got, " "), c.want)
		}
	}
}
