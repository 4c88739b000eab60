package experiment

import (
	"path/filepath"
	"strconv"
	"strings"
)

// maxPoints is how many points a study may have. maxWork bounds points times what each has to read, so that a hostile file costs neither
// minutes nor gigabytes.
const (
	maxPoints = 10000
	maxWork   = 4_000_000
)

// Study is what a file asks for: one experiment, or with seeds or matrix one for each point of the product of their values.
type Study struct {
	// File is what the study was read from, as given to Parse.
	File string
	// Name is that of every point's experiment.
	Name string
	// Axes are what is varied, seeds first; empty for a single experiment.
	Axes []Axis
	// Points are in the order of the product, the last axis the fastest. There is at least one.
	Points []Point

	root *node
}

// Axis is one thing that is varied.
type Axis struct {
	// Path is "seed", or an override's path, e.g. "fit.gru-64.params.latent".
	Path string
	// Label is the shortest tail of Path that is unique among the axes, e.g. "latent".
	Label string
	// Values are in the order of the file: bool, int64, uint64, float64, string, []any or map[string]any. Paths of files are absolute.
	Values []any
}

// Point is one experiment of a study.
type Point struct {
	// Index is its place in the product, from 0.
	Index int
	// Name is safe as a folder's name, unique, and stays the same when values are appended to an axis: "seed-0_latent-8". It is empty where there
	// are no axes.
	Name string
	// Values are what the axes have here, by Axis.Path; nil where there are no axes.
	Values map[string]any
	// Experiment shares with those of other points what they have in common: it is to be read only.
	Experiment *Experiment
}

// Read is [Parse] and [Experiment.Resolve] for each point in one, so that the problems of both, and of all points, are reported together and
// those that points share once.
func Read(file string, data []byte, overrides []string, lookup Lookup) (*Study, error) {
	p := parse(file, data, overrides)
	for i := range p.problems {
		p.problems[i].suggest(lookup)
	}
	if p.study != nil {
		r := newResolver(lookup)
		var found [][]Problem
		told := 0
		for i := range p.study.Points {
			at := &p.study.Points[i]
			e, more := at.Experiment.resolve(r)
			at.Experiment, found = e, append(found, more)
			if told += len(more); told > maxTold {
				break
			}
		}
		p.tell(found)
	}
	return p.result()
}

// Parse reads a study from data. file is shown in messages, and its folder is what relative paths in the file start from. overrides are what --set
// gives, PATH=VALUE, applied in order before seeds and matrix multiply the experiment; relative paths in them start from the working folder. Setting
// seed replaces the file's seeds, and setting seeds its seed; "matrix.PATH" is an axis as a whole, and null takes it away. What the matrix varies
// cannot be set. The error is an [*Error] with all problems.
func Parse(file string, data []byte, overrides []string) (*Study, error) {
	return parse(file, data, overrides).result()
}

// parsed is what could be read beside what could not.
type parsed struct {
	// study is nil where nothing could be read; where seeds or matrix are wrong it has no axes, and some points in place of all.
	study    *Study
	problems []Problem
	// missing are the paths of axes that could not be read: what is said of these places may follow from that.
	missing []string
}

func (p *parsed) result() (*Study, error) {
	if err := Join(p.problems...); err != nil {
		return nil, err
	}
	return p.study, nil
}

// tell takes the problems of each point.
func (p *parsed) tell(found [][]Problem) {
	for _, q := range p.study.Shared(found) {
		if !p.follows(q.Path) {
			p.problems = append(p.problems, q)
		}
	}
}

// follows reports whether something missing lies on, above or below a path.
func (p *parsed) follows(path string) bool {
	under := func(a, b string) bool {
		rest, ok := strings.CutPrefix(a, b)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	for _, m := range p.missing {
		if under(path, m) || under(m, path) {
			return true
		}
	}
	return false
}

func parse(file string, data []byte, overrides []string) *parsed {
	r := reader{file: file}
	root := r.read(string(data))
	if len(r.problems) == 0 && root == nil {
		r.report(position{}, "", "is empty: an experiment needs at least version and one of train, simulate, fit, compare")
	}
	if root != nil && root.kind != mapping {
		r.report(root.at, "", "%s: a mapping is needed, with the keys %s", root.show(), strings.Join(topKeys(), ", "))
		root = nil
	}
	if root == nil {
		return &parsed{problems: r.problems}
	}
	var sets []assignment
	for _, set := range overrides {
		root = r.override(root, set, &sets)
	}
	d := decoder{reader: &r, folder: filepath.Dir(file), uses: map[useKey]readUse{}, made: map[changed]*node{}}
	root = d.absolute(root, nil)
	v := d.variations(root)
	v.against(root, sets)
	base := root.without("seeds", "matrix")
	s := &Study{File: file, root: root}
	out := &parsed{study: s, missing: v.missing}
	sound := !v.broken && d.affordable(v, base)
	var points [][]int
	if sound {
		s.Axes = v.exported()
		for i := range v.points() {
			points = append(points, v.at(i))
		}
	} else {
		points = v.eachValue(min(maxPoints, maxWork/base.size()))
	}
	out.problems, r.problems = r.problems, nil
	var found [][]Problem
	name, told := newNamer(s.Axes), 0
	for i, at := range points {
		p := Point{Index: i, Experiment: d.point(base, v, at)}
		if len(s.Axes) > 0 {
			p.Name, p.Values = name.point(at), s.values(at)
		}
		s.Points, found = append(s.Points, p), append(found, r.problems)
		told, r.problems = told+len(r.problems), nil
		if told > maxTold {
			break
		}
	}
	s.Name = s.Points[0].Experiment.Name
	out.tell(found)
	if len(out.problems) == 0 {
		if size := len(s.YAML()); size > maxBytes {
			r.report(position{}, "", "written out in full it has %d bytes: at most %d are allowed", size, maxBytes)
			out.problems = r.problems
		}
	}
	return out
}

// affordable reports whether the points can all be read, and says so where they cannot.
func (d *decoder) affordable(v *variations, base *node) bool {
	n, size := v.points(), base.size()+len(v.axes)
	switch {
	case n > maxPoints:
		var parts []string
		for i, a := range v.axes {
			if i == 12 {
				parts = append(parts, "...")
				break
			}
			parts = append(parts, strconv.Itoa(len(a.nodes)))
		}
		total := strconv.Itoa(n)
		if n >= tooMany {
			total = "more than " + total
		}
		if len(parts) > 1 {
			total = strings.Join(parts, " x ") + " = " + total
		}
		d.complain(v.place, v.key, true, "", "%s points: at most %d are allowed", total, maxPoints)
	case n*size > maxWork:
		d.complain(v.place, v.key, true, "split the study into several files",
			"%d points with %d values each are too many: at most %d are allowed together", n, size, maxWork)
	default:
		return true
	}
	return false
}

// point reads the experiment at one point: the base with each axis's value put in its place.
func (d *decoder) point(base *node, v *variations, at []int) *Experiment {
	for k, a := range v.axes {
		c := change{parts: a.parts, value: a.nodes[at[k]], at: a.keyAt, path: a.path, made: d.made}
		if changed, wrong := c.in(base); wrong == nil {
			base = changed
		} else {
			d.complain(v.place, a.key, true, wrong.hint, "%s", wrong.message)
		}
	}
	return d.experiment(base)
}

// values are what the axes have at a point.
func (s *Study) values(at []int) map[string]any {
	out := make(map[string]any, len(s.Axes))
	for k, a := range s.Axes {
		out[a.Path] = a.Values[at[k]]
	}
	return out
}
