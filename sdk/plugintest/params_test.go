package plugintest

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// TestSomeValue: a required parameter is given what its bounds allow.
func TestSomeValue(t *testing.T) {
	nan := math.NaN()
	for _, f := range []param.Field{
		{Type: param.Float, Min: nan, Max: 0.5, Above: 0, Below: nan},
		{Type: param.Float, Min: 0.2, Max: nan, Above: nan, Below: 0.3},
		{Type: param.Float, Min: nan, Max: nan, Above: 5, Below: nan},
		{Type: param.Float, Min: nan, Max: -3, Above: nan, Below: nan},
		{Type: param.Float, Min: nan, Max: nan, Above: nan, Below: nan},
		{Type: param.Int, Min: 0.5, Max: nan, Above: nan, Below: nan},
		{Type: param.Int, Min: nan, Max: 1, Above: 0, Below: nan},
		{Type: param.Int, Min: nan, Max: nan, Above: nan, Below: 0},
		{Type: param.Int, Min: nan, Max: -1.5, Above: nan, Below: nan},
		{Type: param.String, Min: nan, Max: nan, Above: nan, Below: nan, Choices: []string{"a", "b"}},
	} {
		f.Name = "x"
		v := someValue(f)
		if _, problems := (param.Schema{f}).Resolve(param.Values{"x": v}); len(problems) > 0 {
			t.Errorf("%s, %s: %v: %v", f.Type, f.Range(), v, problems)
		}
	}
}
