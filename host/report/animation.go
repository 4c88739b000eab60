package report

import (
	"errors"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/host/report/figure"
)

// An animation is an SVG that moves by SMIL: without a script, as the page's policy asks. Printed it is its first frame.
const (
	animated     = 6        // trials, one after the other
	frameSeconds = 1.0 / 30 // a frame is the whole number of bins nearest to it
	pauseFrames  = 15       // after each trial
	sceneSize    = 420.0    // points
)

// limbs are the lengths of upper arm and forearm in m, which are the least squares solution of hand = L1 e(q1) + L2 e(q1+q2); ok is false where no two lengths
// explain the hand to a millimetre, as for an effector without joints.
func (r *reaches) limbs() (upper, fore float64, ok bool) {
	if r.joints == nil {
		return 0, 0, false
	}
	var aa, ab, bb, ac, bc float64
	each := func(f func(c1, s1, c2, s2, x, y float64)) {
		for i := range min(len(r.trials), animated) {
			for t := range r.hand.lengths[i] {
				q1, q2 := at(r.joints, i, t)
				x, y := at(r.hand, i, t)
				f(math.Cos(q1), math.Sin(q1), math.Cos(q1+q2), math.Sin(q1+q2), x, y)
			}
		}
	}
	each(func(c1, s1, c2, s2, x, y float64) {
		aa++
		bb++
		ab += c1*c2 + s1*s2
		ac += c1*x + s1*y
		bc += c2*x + s2*y
	})
	det := aa*bb - ab*ab
	if !(det > 1e-9*aa*bb) {
		return 0, 0, false
	}
	upper, fore = (ac*bb-bc*ab)/det, (bc*aa-ac*ab)/det
	worst := 0.0
	each(func(c1, s1, c2, s2, x, y float64) {
		worst = max(worst, math.Hypot(upper*c1+fore*c2-x, upper*s1+fore*s2-y))
	})
	return upper, fore, worst < 1e-3 && upper > 0 && fore > 0
}

// frames are the values of an attribute over time.
type frames struct{ x, y, joint1, joint2, goalX, goalY, shown, push, pushX, pushY []float64 }

// animation is a few reaches, one after the other.
func (r *reaches) animation(palette figure.Palette) (inline, file string, err error) {
	if err := r.unreached(r.reached, ""); err != nil {
		return "", "", err
	}
	if r.tick.width == 0 {
		return "", "", errors.New("it is not known how long a bin is")
	}
	chosen := r.choose(animated, r.reached)
	stride := max(1, r.bins(frameSeconds))
	var f frames
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	upper, fore, arm := r.limbs()
	if arm {
		low, high = [2]float64{-0.05, -0.05}, [2]float64{0.05, 0.05}
	}
	for _, i := range chosen {
		n := r.hand.lengths[i]
		gx, gy := at(r.goal, i, n-1)
		for k := 0; ; k++ {
			t := min(k*stride, n-1)
			x, y := at(r.hand, i, t)
			f.x, f.y = append(f.x, x), append(f.y, y)
			if arm {
				q1, q2 := at(r.joints, i, t)
				f.joint1, f.joint2 = append(f.joint1, q1*180/math.Pi), append(f.joint2, q2*180/math.Pi)
				ex, ey := upper*math.Cos(q1), upper*math.Sin(q1)
				low, high = [2]float64{min(low[0], ex), min(low[1], ey)}, [2]float64{max(high[0], ex), max(high[1], ey)}
			}
			f.goalX, f.goalY = append(f.goalX, gx), append(f.goalY, gy)
			// Pale before it is shown, full once it is to be reached.
			visible := 0.0
			if t >= r.targetOn[i] && r.targetOn[i] >= 0 {
				visible = 0.35
			}
			if t >= r.goCue[i] {
				visible = 1
			}
			f.shown = append(f.shown, visible)
			push, px, py := 0.0, x, y
			if r.forces != nil && r.bumpOn[i] >= 0 && t >= r.bumpOn[i] && t < r.bumpEnd[i] {
				fx, fy := at(r.forces, i, t)
				push, px, py = 1, x-0.012*fx, y-0.012*fy
			}
			f.push, f.pushX, f.pushY = append(f.push, push), append(f.pushX, px), append(f.pushY, py)
			low, high = [2]float64{min(low[0], x, gx, px), min(low[1], y, gy, py)}, [2]float64{max(high[0], x, gx, px), max(high[1], y, gy, py)}
			if k*stride >= n-1+pauseFrames*stride {
				break
			}
		}
	}
	const margin = 0.03
	scale := sceneSize / (max(high[0]-low[0], high[1]-low[1]) + 2*margin)
	sx := func(v float64) float64 { return (v - low[0] + margin) * scale }
	sy := func(v float64) float64 { return (high[1] + margin - v) * scale }
	width, height := sx(high[0]+margin), sy(low[1]-margin)
	duration := float64(len(f.x)) * float64(stride) * r.tick.width

	draw := func(colour func(string) string, open string) string {
		var b strings.Builder
		fmt.Fprintf(&b, `%s width="%.0f" height="%.0f" viewBox="0 0 %.5g %.5g" stroke-linecap="round" stroke-linejoin="round" role="img" aria-label="Reaches of the arm, animated">`, open, width, height, width, height)
		animate := func(attribute string, values []float64, discrete bool, convert func(float64) float64) {
			mode := "linear"
			if discrete {
				mode = "discrete"
			}
			fmt.Fprintf(&b, `<animate attributeName="%s" dur="%.4gs" repeatCount="indefinite" calcMode="%s" values="%s"/>`, attribute, duration, mode, listed(values, convert))
		}
		same := func(v float64) float64 { return v }
		fmt.Fprintf(&b, `<circle r="%.4g" cx="%.5g" cy="%.5g" fill="%s" fill-opacity="%g">`, 0.01*scale+3, sx(f.goalX[0]), sy(f.goalY[0]), colour("goal"), f.shown[0])
		animate("cx", f.goalX, true, sx)
		animate("cy", f.goalY, true, sy)
		animate("fill-opacity", f.shown, true, same)
		b.WriteString("</circle>")
		if arm {
			rotate := func(values []float64) {
				fmt.Fprintf(&b, `<animateTransform attributeName="transform" type="rotate" dur="%.4gs" repeatCount="indefinite" values="%s"/>`, duration, listed(values, func(v float64) float64 { return -v }))
			}
			limb := func(length, thick float64) {
				fmt.Fprintf(&b, `<line x1="0" y1="0" x2="%.5g" y2="0" stroke="%s" stroke-opacity="0.45" stroke-width="%g"/><circle r="3.5" fill="%s"/>`, length*scale, colour(figure.Input), thick, colour(figure.Truth))
			}
			fmt.Fprintf(&b, `<g transform="translate(%.5g %.5g)"><g transform="rotate(%.5g)">`, sx(0), sy(0), -f.joint1[0])
			rotate(f.joint1)
			limb(upper, 12)
			fmt.Fprintf(&b, `<g transform="translate(%.5g 0)"><g transform="rotate(%.5g)">`, upper*scale, -f.joint2[0])
			rotate(f.joint2)
			limb(fore, 9)
			b.WriteString("</g></g></g></g>")
		}
		fmt.Fprintf(&b, `<line stroke="%s" stroke-width="3.5" stroke-opacity="%g" x1="%.5g" y1="%.5g" x2="%.5g" y2="%.5g">`, colour("push"), f.push[0], sx(f.pushX[0]), sy(f.pushY[0]), sx(f.x[0]), sy(f.y[0]))
		animate("stroke-opacity", f.push, true, same)
		animate("x1", f.pushX, false, sx)
		animate("y1", f.pushY, false, sy)
		animate("x2", f.x, false, sx)
		animate("y2", f.y, false, sy)
		b.WriteString("</line>")
		fmt.Fprintf(&b, `<circle r="5" cx="%.5g" cy="%.5g" fill="%s">`, sx(f.x[0]), sy(f.y[0]), colour(figure.Truth))
		animate("cx", f.x, false, sx)
		animate("cy", f.y, false, sy)
		b.WriteString("</circle></svg>\n")
		return b.String()
	}
	inline = draw(palette.CSS, "<svg")
	file = draw(func(group string) string {
		css := palette.CSS(group)
		return css[strings.IndexByte(css, ',')+1 : len(css)-1]
	}, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<svg xmlns="http://www.w3.org/2000/svg"`)
	return inline, file, nil
}

// listed writes the values of an animated attribute.
func listed(values []float64, convert func(float64) float64) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(strconv.FormatFloat(math.Round(convert(v)*100)/100, 'f', -1, 64))
	}
	return b.String()
}

const animationName = "reach-animation"

// moving is the animation as set on the page.
func moving(svg string) drawing {
	return drawing{ID: "figure-" + animationName, Title: "Reaches, animated", SVG: template.HTML(svg),
		Caption: "A few reaches, one after the other, at their own speed. The target is pale while it is shown, full from the go cue on; a line at the hand is a push."}
}
