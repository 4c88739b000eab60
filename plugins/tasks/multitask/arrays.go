package multitask

import "math"

// The channels: inputs are fixation, cosine and sine of each of two modalities, and the rules; outputs are fixation, cosine and sine of the response.
const (
	ruleInput = 5
	inputs    = ruleInput + Rules
	outputs   = 3
)

const (
	// settleBins at the start of a trial, and of its response, do not count in the loss.
	settleBins = 5
	// responseWeight is how much a bin of the response counts, where one before it counts 1.
	responseWeight = 5
)

// Inputs writes the inputs of a trial without noise, (T, 20), row-major; those after its end are 0.
func Inputs[F float32 | float64](to []F, p *Plan) {
	for phase := range Phase(Phases) {
		from, until := p.Starts[phase], p.Starts[phase+1]
		if from == until {
			continue
		}
		first := to[from*inputs:][:inputs]
		for i, x := range p.shown(phase) {
			first[i] = F(x)
		}
		for t := from + 1; t < until; t++ {
			copy(to[t*inputs:], first)
		}
	}
	clear(to[p.End()*inputs:])
}

// shown are the inputs in a phase; they do not change within it.
func (p *Plan) shown(phase Phase) (x [inputs]float64) {
	k := p.Rule.kind()
	x[ruleInput+int(p.Rule)] = 1
	if phase != Response || k == react || k == match {
		x[0] = 1
	}
	switch {
	case k == decision && phase == Stim1:
		p.pair(&x, p.Theta1, 0)
	case k == decision && phase == Stim2:
		p.pair(&x, p.Theta2, 1)
	case k == match && phase == Response:
		x[1], x[2] = math.Cos(p.Theta2), math.Sin(p.Theta2)
	case k != decision && phase == Stim1, phase == Response && (k == delay || k == react):
		x[1], x[2] = math.Cos(p.Theta1), math.Sin(p.Theta1)
	}
	return x
}

// pair shows a stimulus of a decision task at its magnitude in each modality.
func (p *Plan) pair(x *[inputs]float64, theta float64, which int) {
	first, second := p.A[which], p.B[which]
	switch p.Rule {
	case IntMod1:
		second = 0
	case IntMod2:
		first, second = 0, p.A[which]
	}
	cos, sin := math.Cos(theta), math.Sin(theta)
	x[1], x[2], x[3], x[4] = first*cos, first*sin, second*cos, second*sin
}

// Targets writes the targets of a trial, (T, 3), row-major: fixation until the response, then the answer, and 0 after the end. Under compat three of the four match
// tasks do not ask for fixation.
func Targets[F float32 | float64](to []F, p *Plan, compat bool) {
	clear(to)
	response, end := p.Starts[Response], p.End()
	if !compat || p.Rule.kind() != match || p.Rule == Match2Sample {
		for t := range response {
			to[t*outputs] = 1
		}
	}
	cos, sin := p.Answer()
	for t := response; t < end; t++ {
		to[t*outputs+1], to[t*outputs+2] = F(cos), F(sin)
	}
}

// Weights writes how much each bin of a trial counts in the loss, (T): 1, from the response on 5; 0 in the first 5 bins of the trial and of the response, and after
// the end.
func Weights[F float32 | float64](to []F, p *Plan) {
	clear(to)
	response, end := p.Starts[Response], p.End()
	for t := settleBins; t < response; t++ {
		to[t] = 1
	}
	for t := max(settleBins, response+settleBins); t < end; t++ {
		to[t] = responseWeight
	}
}
