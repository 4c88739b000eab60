package arm

import (
	"fmt"
	"testing"
)

// benchTrials is a batch that stays in the second-level cache, as a shard of a trainer does.
const benchTrials = 32

func benchmark[F Float](b *testing.B, effector string, trials int, back bool) {
	const bins = 50
	p, err := New[F](Config{Effector: effector, Trials: trials, Bins: bins, Tape: true})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	x := randomTrials(b, 1, effector, trials, bins, 1)
	joints, actions, force := convert[float64, F](x.joints), make([][]F, bins), make([][]F, bins)
	for bin := range bins {
		actions[bin], force[bin] = convert[float64, F](x.action[bin]), convert[float64, F](x.force[bin])
	}
	tip, senses, gradient := make([]F, 2*trials), make([]F, 2*p.Muscles()*trials), make([]F, p.Muscles()*trials)
	forward := func() {
		if err := p.Reset(joints); err != nil {
			b.Fatal(err)
		}
		for bin := range bins {
			if err := p.Step(bin, actions[bin], force[bin]); err != nil {
				b.Fatal(err)
			}
			if !back {
				p.Fingertip(tip)
				p.Senses(senses)
			}
		}
	}
	forward()
	for b.Loop() {
		if !back {
			forward()
			continue
		}
		p.BeginBackward()
		for bin := bins - 1; bin >= 0; bin-- {
			if err := p.StepBackward(bin, tip, senses, gradient); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*float64(trials*bins)/b.Elapsed().Seconds()/1e6, "Msteps/s")
}

func each(b *testing.B, back bool) {
	for _, effector := range Effectors() {
		for _, trials := range []int{benchTrials, 1000} {
			b.Run(fmt.Sprintf("%s/N=%d/float32", effector, trials), func(b *testing.B) { benchmark[float32](b, effector, trials, back) })
		}
	}
	b.Run(Arm26+"/N=32/float64", func(b *testing.B) { benchmark[float64](b, Arm26, benchTrials, back) })
}

// BenchmarkStep is a bin forward with what is read after it: trial-steps a second on one core.
func BenchmarkStep(b *testing.B) { each(b, false) }

// BenchmarkVJP is the way back over a bin, without the way there.
func BenchmarkVJP(b *testing.B) { each(b, true) }
