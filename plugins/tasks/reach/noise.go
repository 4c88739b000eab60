package reach

import (
	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// noiseBins is the number of bins whose noise is drawn at once: of six muscles these are whole groups of 64 numbers, which is what the kernel makes.
const noiseBins = 32

// noise is standard normal numbers of each bin of the trials of an episode, drawn some bins ahead. They depend on the key of their bins and the trial alone.
type noise[F arm.Float] struct {
	key    func(block uint64) uint64
	trials []uint64
	// width is the number of numbers in a bin.
	width int
	// drawn are those of the bins [block*noiseBins, (block+1)*noiseBins), (B, noiseBins, width); none yet where block is -1.
	drawn []F
	block int
}

func newNoise[F arm.Float](trials []uint64, width int, key func(block uint64) uint64) *noise[F] {
	return &noise[F]{key: key, trials: trials, width: width, drawn: make([]F, len(trials)*noiseBins*width), block: -1}
}

// sensory is the noise on what is seen and felt, width numbers a bin.
func sensory[F arm.Float](seed, pass uint64, trials []uint64, width int) *noise[F] {
	return newNoise[F](trials, width, func(block uint64) uint64 { return random.Key(seed, "random-target/senses", pass, block) })
}

// motor is the noise on excitations.
func motor[F arm.Float](seed, pass uint64, trials []uint64, width int) *noise[F] {
	return newNoise[F](trials, width, func(block uint64) uint64 { return random.Key(seed, "random-target/actions", pass, block) })
}

// bin draws what bin t needs and returns its numbers, those of the first trial at 0 and each other's stride after the last's.
func (n *noise[F]) bin(t int) (z []F, stride int, err error) {
	stride = noiseBins * n.width
	if block := t / noiseBins; block != n.block {
		if err := normals(n.drawn, n.trials, n.key(uint64(block)), stride); err != nil {
			return nil, 0, err
		}
		n.block = block
	}
	return n.drawn[t%noiseBins*n.width:], stride, nil
}

// normals draws n numbers of each trial.
func normals[F arm.Float](to []F, trials []uint64, key uint64, n int) error {
	return kernel.Normals(kernel.Shape{B: len(trials), T: 1, C: n, Threads: 1}, key, trials, to)
}

// shown is what each bin's last inputs are, noise included: (B, bins, contexts). The noise is that of the trials, whoever runs them.
func shown[F arm.Float](t *reach, plans []Plan, trials []uint64, bins int) ([]F, error) {
	out := make([]F, len(plans)*bins*contexts)
	if t.Noise > 0 {
		if err := normals(out, trials, random.Key(t.seed, "random-target/context"), bins*contexts); err != nil {
			return nil, err
		}
	}
	at := 0
	for row := range plans {
		for bin := range bins {
			for i, x := range plans[row].Context(bin, t.bins(), t.GoCue, t.Compat) {
				out[at+i] = F(x) + F(t.Noise)*out[at+i]
			}
			at += contexts
		}
	}
	return out, nil
}
