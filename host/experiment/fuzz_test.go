package experiment

import (
	"errors"
	"testing"
)

// told fails where an error is not a list of problems with messages.
func told(t *testing.T, err error) {
	t.Helper()
	var all *Error
	if !errors.As(err, &all) || len(all.Problems) == 0 {
		t.Fatalf("error is %#v", err)
	}
	for _, p := range all.Problems {
		if p.Message == "" || p.String() == "" {
			t.Errorf("a problem without a message: %#v", p)
		}
		if p.Set == "" && p.Line == 0 && p.Column != 0 {
			t.Errorf("a column without a line: %#v", p)
		}
	}
}

// Whatever the file, there is no panic; what can be read can be looked up, and its points can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(canonical))
	for _, x := range Examples() {
		f.Add(x.Data)
	}
	for _, file := range soundFiles() {
		f.Add([]byte(file))
	}
	for _, s := range []string{
		head + train + "fit: [{load: \"é\\u0085\\x7f\\u2028 'x\"}]\n", head + "train: {load: on}\nname: \"12\"\ncompare: [{use: comparator/metrics}]",
		head + "task: {use: task/nbff, params: {a: .nan, b: [1e-3, -.inf, 0x1f, 1_0], c: \"1e3\", d: 'null', e: |\n    x\n}}\n",
		"? version\n: 1\n", "{version: 1, train: {load: ~}}", "version: !!int 1", "&a : *a",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("x.yaml", data, nil)
		if err != nil {
			told(t, err)
			return
		}
		if _, err := Read("x.yaml", data, nil, catalogue); err != nil {
			told(t, err)
		}
		for _, p := range s.Points[:min(8, len(s.Points))] {
			again, err := single("y.yaml", string(p.Experiment.YAML()))
			if err != nil {
				t.Fatalf("%v in\n%s", err, p.Experiment.YAML())
			}
			same(t, p.Experiment, again)
		}
	})
}

// A study that can be read is read again from what is written of it.
func FuzzStudyRoundTrip(f *testing.F) {
	f.Add([]byte(study), "seeds=[1, 2]", "matrix=null")
	for _, file := range soundFiles() {
		f.Add([]byte(file), "matrix.train.params.lr=[1, 2]", "seed=3")
		f.Add([]byte(file), "seeds=[3, 4]", "matrix.fit.new=[{use: model/a}, {load: x}]")
	}
	f.Fuzz(func(t *testing.T, data []byte, first, second string) {
		s, err := Parse("x.yaml", data, []string{first, second})
		if err != nil {
			told(t, err)
			return
		}
		// Long studies are as the short ones, and slow.
		if len(s.Points) <= 50 {
			reread(t, s)
		}
	})
}

// Whatever the override, there is no panic, and an error is a list of problems.
func FuzzOverride(f *testing.F) {
	for _, s := range []string{
		"fit.gru-64.params.latent=16", "fit[1].use=model/x", "seed={a: [1]}", "task=", "compare.two.subjects=[truth]", "a.b[3].c=~", "fit=[]", "fit=null",
		"seeds=[1, 2]", "matrix={train.use: [model/a]}", "matrix.fit.gru-64.params.sizes[0]=[1]", "matrix.fit[0]=[{use: model/b}]", "matrix.a=null", "matrix=3", "fit.x={load: y}",
	} {
		f.Add(s, "seed=1")
		f.Add(s, "matrix.train.params.lr=[1, 2]")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, file := range []string{canonical, study} {
			s, err := Parse("x.yaml", []byte(file), []string{first, second})
			if err != nil {
				told(t, err)
			} else if len(s.Points) <= 50 {
				reread(t, s)
			}
		}
	})
}
