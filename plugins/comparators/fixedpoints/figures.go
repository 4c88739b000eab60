package fixedpoints

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	// drawnTrials and drawnStates bound what is drawn of trajectories, drawnInputs the inputs that have figures.
	drawnTrials, drawnStates, drawnInputs = 12, 400, 4
	// pcaStates is the number of states that principal components are of.
	pcaStates = 2000
)

// plane projects states on the first principal components of visited ones.
type plane struct {
	mean []float64
	// axes are (components, state), share the fraction of variance of each.
	axes  [][]float64
	share []float64
}

func newPlane(rows [][]float64, components int) plane {
	d := len(rows[0])
	p := plane{mean: make([]float64, d)}
	for _, r := range rows {
		for i, v := range r {
			p.mean[i] += v / float64(len(rows))
		}
	}
	cov := mat.NewSymDense(d, nil)
	centred := mat.NewVecDense(d, nil)
	for _, r := range rows {
		for i, v := range r {
			centred.SetVec(i, v-p.mean[i])
		}
		cov.SymRankOne(cov, 1/float64(len(rows)), centred)
	}
	var eig mat.EigenSym
	if !eig.Factorize(cov, true) {
		return p
	}
	var vectors mat.Dense
	eig.VectorsTo(&vectors)
	values := eig.Values(nil)
	total := 0.0
	for _, v := range values {
		total += max(v, 0)
	}
	for k := range min(components, d) {
		axis := mat.Col(nil, d-1-k, &vectors)
		// An axis has no sign of its own: its largest element is positive.
		largest := 0.0
		for _, v := range axis {
			if math.Abs(v) > math.Abs(largest)*(1+1e-9) {
				largest = v
			}
		}
		if largest < 0 {
			for i := range axis {
				axis[i] = -axis[i]
			}
		}
		p.axes = append(p.axes, axis)
		share := 0.0
		if total > 0 {
			share = max(values[d-1-k], 0) / total
		}
		p.share = append(p.share, share)
	}
	return p
}

func (p plane) at(x []float64, k int) float64 {
	sum := 0.0
	for i, v := range x {
		sum += p.axes[k][i] * (v - p.mean[i])
	}
	return sum
}

func (p plane) axis(k int) component.Axis {
	return component.Axis{Label: fmt.Sprintf("PC %d (%.0f%% of variance)", k+1, 100*p.share[k])}
}

// panels are of the first component with the second and the third, or of the one there is with itself.
func (p plane) panels() [][2]int {
	switch len(p.axes) {
	case 0:
		return nil
	case 1:
		return [][2]int{{0, 0}}
	case 2:
		return [][2]int{{0, 1}}
	}
	return [][2]int{{0, 1}, {0, 2}}
}

// kind is what a point is called by its unstable directions.
func kind(unstable int) string {
	switch unstable {
	case 0:
		return "stable"
	case 1:
		return "1 unstable direction"
	}
	return fmt.Sprintf("%d unstable directions", unstable)
}

// byKind groups points into marks, the stable first.
func byKind(linear []Linear, xy func(i int) (float64, float64)) []component.Mark {
	var out []component.Mark
	most := 0
	for _, l := range linear {
		most = max(most, l.Unstable)
	}
	for unstable := 0; unstable <= most; unstable++ {
		m := component.Mark{Kind: component.Scatter, Label: kind(unstable), Group: kind(unstable)}
		for i, l := range linear {
			if l.Unstable == unstable {
				x, y := xy(i)
				m.X, m.Y = append(m.X, x), append(m.Y, y)
			}
		}
		if len(m.X) > 0 {
			out = append(out, m)
		}
	}
	return out
}

// figureName makes a figure's name.
func figureName(parts ...string) string {
	words := strings.FieldsFunc(strings.ToLower(strings.Join(parts, " ")), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}

// trajectories are the states of a few trials.
func (e *examined) trajectories() [][][]float64 {
	var out [][][]float64
	for k, a := range e.visited.arrays {
		for trial, bins := range e.visited.lengths[k] {
			if len(out) == drawnTrials {
				return out
			}
			var rows [][]float64
			for bin := range min(bins, drawnStates) {
				row := make([]float64, e.size())
				copyRow(row, a, trial*a.Shape[1]+bin)
				if !finite(row) {
					break
				}
				rows = append(rows, row)
			}
			if len(rows) > 0 {
				out = append(out, rows)
			}
		}
	}
	return out
}

// figures are those of the first inputs.
func (e *examined) figures() []component.Figure {
	var rows [][]float64
	total := e.visited.total()
	n := min(total, pcaStates)
	for i := range n {
		row := make([]float64, e.size())
		e.visited.read(row, i*total/n)
		if finite(row) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	p := newPlane(rows, 3)
	paths := e.trajectories()
	var out []component.Figure
	for i := range min(len(e.found), drawnInputs) {
		u := &e.found[i]
		title, suffix := "", ""
		if len(e.found) > 1 {
			title, suffix = " under the input "+u.name, u.name
		}
		f := component.Figure{
			Name: figureName("points", e.Label, suffix), Title: "Fixed points of " + e.Label + title, Columns: 2,
			Caption: fmt.Sprintf("%d fixed points from %d starts, with %d slow points (q > tol_q), in the first principal components of visited states; lines: %d trials. "+
				"A trajectory comes to rest at stable points; a saddle sends it away along its unstable directions.", len(u.Fixed), u.Starts, len(u.Slow), len(paths)),
		}
		for _, axes := range p.panels() {
			panel := component.Panel{X: p.axis(axes[0]), Y: p.axis(axes[1])}
			for k, path := range paths {
				m := component.Mark{Kind: component.Line, Group: "trials", Faint: true}
				if k == 0 {
					m.Label = "trials"
				}
				for _, x := range path {
					m.X, m.Y = append(m.X, p.at(x, axes[0])), append(m.Y, p.at(x, axes[1]))
				}
				panel.Marks = append(panel.Marks, m)
			}
			panel.Marks = append(panel.Marks, u.pathMarks(p, axes, e.size())...)
			if len(u.Slow) > 0 {
				m := component.Mark{Kind: component.Scatter, Label: "slow", Group: "slow", Faint: true}
				for _, s := range u.Slow {
					m.X, m.Y = append(m.X, p.at(s.X, axes[0])), append(m.Y, p.at(s.X, axes[1]))
				}
				panel.Marks = append(panel.Marks, m)
			}
			panel.Marks = append(panel.Marks, byKind(u.fixed, func(i int) (float64, float64) { return p.at(u.Fixed[i].X, axes[0]), p.at(u.Fixed[i].X, axes[1]) })...)
			f.Panels = append(f.Panels, panel)
		}
		if len(f.Panels) > 0 {
			out = append(out, f)
		}
		if len(u.fixed) > 0 {
			out = append(out, u.eigenvalueFigure(e.Label, title, suffix))
		}
	}
	return out
}

// pathMarks are the ways of the points to the next input.
func (u *under) pathMarks(p plane, axes [2]int, d int) []component.Mark {
	if u.paths == nil {
		return nil
	}
	var out []component.Mark
	for i, path := range u.paths.paths {
		m := component.Mark{Kind: component.Line, Group: "moving input", Dashed: true}
		if i == 0 {
			m.Label = "as the input moves to the next"
		}
		for at := 0; at < len(path); at += d {
			m.X, m.Y = append(m.X, p.at(path[at:at+d], axes[0])), append(m.Y, p.at(path[at:at+d], axes[1]))
		}
		out = append(out, m)
	}
	return out
}

func (u *under) eigenvalueFigure(label, title, suffix string) component.Figure {
	circle := component.Mark{Kind: component.Line, Label: "modulus 1", Group: "modulus 1", Faint: true}
	const corners = 120
	for i := range corners + 1 {
		s, c := math.Sincos(2 * math.Pi * float64(i) / corners)
		circle.X, circle.Y = append(circle.X, c), append(circle.Y, s)
	}
	panel := component.Panel{X: component.Axis{Label: "real part"}, Y: component.Axis{Label: "imaginary part"}, Equal: true, Marks: []component.Mark{circle}}
	most := 0
	for _, l := range u.fixed {
		most = max(most, l.Unstable)
	}
	for unstable := 0; unstable <= most; unstable++ {
		m := component.Mark{Kind: component.Scatter, Label: kind(unstable), Group: kind(unstable)}
		for _, l := range u.fixed {
			if l.Unstable == unstable {
				for _, v := range l.Eigenvalues {
					m.X, m.Y = append(m.X, real(v)), append(m.Y, imag(v))
				}
			}
		}
		if len(m.X) > 0 {
			panel.Marks = append(panel.Marks, m)
		}
	}
	return component.Figure{
		Name: figureName("eigenvalues", label, suffix), Title: "Eigenvalues at the fixed points of " + label + title, Panels: []component.Panel{panel},
		Caption: fmt.Sprintf("Eigenvalues of the Jacobian at each of %d fixed points. Outside the circle a perturbation grows, inside it dies away, the slower the nearer to 1; "+
			"off the real axis it turns.", len(u.fixed)),
	}
}

// alignedFigure shows the points of two subjects in the second's latents, x being the first's after the map.
func alignedFigure(a, b *examined, u, v *under, x, y [][]float64, suffix string, m *affine) component.Figure {
	total := m.target.total()
	n := min(total, pcaStates)
	rows := append([][]float64(nil), y...)
	for i := range n {
		row := make([]float64, m.to)
		m.target.read(row, i*total/n)
		rows = append(rows, row)
	}
	p := newPlane(rows, 3)
	f := component.Figure{
		Name: figureName("aligned-points", a.Label, b.Label, suffix), Title: fmt.Sprintf("Fixed points of %s and %s, aligned", a.Label, b.Label), Columns: 2,
		Caption: fmt.Sprintf("Points of %s (%d), mapped by an affine fit of the latents (R² %.3f on %d bins), and of %s (%d), in principal components of the latter's latents. "+
			"Where the dynamics are the same, each lies on one of its kind.", a.Label, len(x), m.r2, m.rows, b.Label, len(y)),
	}
	for _, axes := range p.panels() {
		panel := component.Panel{X: p.axis(axes[0]), Y: p.axis(axes[1])}
		for _, s := range []struct {
			label  string
			at     [][]float64
			linear []Linear
		}{{a.Label, x, u.fixed}, {b.Label, y, v.fixed}} {
			for _, stable := range []bool{true, false} {
				mark := component.Mark{Kind: component.Scatter, Group: s.label, Label: s.label + ", stable", Faint: !stable}
				if !stable {
					mark.Label = s.label + ", unstable"
				}
				for i, l := range s.linear {
					if (l.Unstable == 0) == stable {
						mark.X, mark.Y = append(mark.X, p.at(s.at[i], axes[0])), append(mark.Y, p.at(s.at[i], axes[1]))
					}
				}
				if len(mark.X) > 0 {
					panel.Marks = append(panel.Marks, mark)
				}
			}
		}
		f.Panels = append(f.Panels, panel)
	}
	return f
}
