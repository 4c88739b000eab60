package golden

import "testing"

func TestParse(t *testing.T) {
	cases, err := parse([]byte(`{"about": {}, "cases": [{"name": "a", "params": {"n": 2}, "tensors": {
		"x": {"shape": [1, 2], "dtype": "float64", "data": [0.5, 2]}, "s": {"shape": [], "dtype": "int64", "data": [3]}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ N int }
	cases[0].Decode(t, &p)
	if x, s := cases[0].Floats(t, "x"), cases[0].Ints(t, "s"); p.N != 2 || x[1] != 2 || s[0] != 3 {
		t.Errorf("n %d, x %v, s %v", p.N, x, s)
	}
	for name, text := range map[string]string{
		"no cases":     `{"cases": []}`,
		"no json":      `{`,
		"wrong type":   `{"cases": [{"tensors": {"x": {"shape": [1], "dtype": "float16", "data": [1]}}}]}`,
		"wrong length": `{"cases": [{"tensors": {"x": {"shape": [2], "dtype": "float64", "data": [1]}}}]}`,
		"wrong value":  `{"cases": [{"tensors": {"x": {"shape": [1], "dtype": "int64", "data": [1.5]}}}]}`,
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
