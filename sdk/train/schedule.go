package train

import (
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Schedule says how the learning rate and the weight decay change from epoch to epoch. Embed it in a component's parameters, then pass what Rates gives as [Config].Schedule.
//
// The rates of an epoch depend on the parameters and on the validation losses of the epochs before, and on nothing else.
type Schedule struct {
	Kind            string  `param:"schedule" default:"constant" choices:"constant,cosine,plateau" doc:"learning rate over the epochs: lr throughout, or falling from lr to lr_min as a half cosine that ends with the last of epochs, or times plateau_factor whenever the validation loss stands still"`
	Warmup          int     `param:"warmup" default:"0" min:"0" unit:"epoch" doc:"epochs in which the learning rate first rises, linearly, to lr"`
	LRMin           float64 `param:"lr_min" default:"0" min:"0" doc:"learning rate below which cosine and plateau do not go"`
	PlateauFactor   float64 `param:"plateau_factor" default:"0.5" above:"0" below:"1" doc:"factor of the learning rate when the validation loss stands still"`
	PlateauPatience int     `param:"plateau_patience" default:"10" min:"0" unit:"epoch" doc:"epochs without a better validation loss that plateau waits for"`
	DecayRamp       int     `param:"weight_decay_ramp" default:"0" min:"0" unit:"epoch" doc:"epochs in which the weight decay first rises, linearly, to weight_decay"`
}

// The kinds of schedule.
const (
	Constant = "constant"
	Cosine   = "cosine"
	Plateau  = "plateau"
)

// Check reports contradictions between a schedule, whose length is that of epochs whatever ends the training before, and the learning rate and epochs that it is for, by the names of the parameters.
func (s Schedule) Check(lr float64, epochs int) []param.Problem {
	var problems []param.Problem
	add := func(path, hint, format string, args ...any) {
		problems = append(problems, param.Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if s.Warmup > 0 && s.Warmup >= epochs {
		add("warmup", "", "%d epochs are not allowed: there are %d in all, and lr is reached after the warm-up", s.Warmup, epochs)
	}
	if s.LRMin > lr {
		add("lr_min", "", "%v is not allowed: at most lr, which is %v", s.LRMin, lr)
	}
	if s.LRMin > 0 && s.Kind != Cosine && s.Kind != Plateau {
		add("lr_min", "set schedule to cosine or plateau", "%v is without effect where schedule is %s", s.LRMin, Constant)
	}
	return problems
}

// Rates returns the schedule of a training of that many epochs, for [Config].Schedule; nil where the rates stay as they are.
//
//   - warm-up: epoch e of n has lr (e+1)/(n+1); the schedule proper begins after it.
//   - cosine: lr_min + (lr - lr_min) (1 + cos(pi e/E))/2 in epoch e of E, both without the warm-up: the closed form of torch's CosineAnnealingLR.
//   - plateau: torch's ReduceLROnPlateau with mode min, threshold 0 and no cooldown: after more than plateau_patience epochs in succession that were not better
//     than the best one, the rate is multiplied by plateau_factor, and the count begins anew. Epochs of the warm-up do not count.
func (s Schedule) Rates(lr, weightDecay float64, epochs int) func(epoch int64, validation []float64) Rates {
	if s.Warmup == 0 && s.DecayRamp == 0 && s.Kind != Cosine && s.Kind != Plateau {
		return nil
	}
	return func(epoch int64, validation []float64) Rates {
		r := Rates{LR: lr, WeightDecay: weightDecay}
		if s.DecayRamp > 0 {
			r.WeightDecay *= nn.Ramp(epoch, s.DecayRamp)
		}
		e := int(epoch) - s.Warmup
		switch {
		case e < 0:
			r.LR = lr * float64(epoch+1) / float64(s.Warmup+1)
		case s.Kind == Cosine:
			r.LR = s.LRMin + (lr-s.LRMin)*(1+math.Cos(math.Pi*float64(e)/float64(epochs-s.Warmup)))/2
		case s.Kind == Plateau:
			best, worse := math.Inf(1), 0
			for _, v := range validation[min(s.Warmup, len(validation)):] {
				if v < best {
					best, worse = v, 0
					continue
				}
				if worse++; worse > s.PlateauPatience {
					r.LR, worse = max(r.LR*s.PlateauFactor, s.LRMin), 0
				}
			}
		}
		return r
	}
}
