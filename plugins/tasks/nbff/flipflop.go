package nbff

// Arrays of one trial are (T, bits), row-major, one row a bin.

const (
	// quietBins bins at the start of a trial have no pulses.
	quietBins = 3
	// settleBins bins at the start of a trial do not count in the loss.
	settleBins = 5
)

// Pulses turns uniform draws u in [0, 1) into input pulses: +1 where u > 1-p, -1 where u < p, else 0; the first three bins are 0.
func Pulses(pulses, u []float64, bits int, p float64) {
	for i, u := range u {
		pulses[i] = 0
		switch {
		case i < quietBins*bits:
		case u > 1-p:
			pulses[i] = 1
		case u < p:
			pulses[i] = -1
		}
	}
}

// AddStimulus adds a step to the input of one bit, over the bins [T/4, 3T/4).
func AddStimulus(inputs []float64, bits, bit int, size float64) {
	bins := len(inputs) / bits
	for t := bins / 4; t < 3*bins/4; t++ {
		inputs[t*bits+bit] += size
	}
}

// Targets gives the state of each bit after the input of the bin: it starts at 0, exactly +1 sets it and exactly -1 clears it.
func Targets(targets, inputs []float64, bits int) {
	for i, x := range inputs {
		switch {
		case x == 1:
			targets[i] = 1
		case x == -1 || i < bits:
			targets[i] = 0
		default:
			targets[i] = targets[i-bits]
		}
	}
}

// Mask gives the weights of the loss, 0 or 1: 0 in bins 0 to 4 and, after a switch of the target at bin t, in bins t+1 to t+blind. Bin t itself, in
// which the network has only just received the pulse, is 0 as well, but 1 under compat, as in the published benchmark.
func Mask(mask, targets []float64, bits, blind int, compat bool) {
	bins := len(targets) / bits
	for bit := range bits {
		// clear is the first bin from which on nothing is masked by what came before.
		clear := settleBins
		for t := range bins {
			i := t*bits + bit
			mask[i] = 1
			if t < clear {
				mask[i] = 0
			}
			if t > 0 && targets[i] != targets[i-bits] {
				clear = max(clear, t+blind+1)
				if !compat {
					mask[i] = 0
				}
			}
		}
	}
}

// SquaredError is the declared loss of a trial: the masked squared error, averaged over all of its T*bits elements, masked or not.
// Its mean over trials is the loss that a network is trained with.
func SquaredError[F float32 | float64](outputs []F, targets, mask []float64) float64 {
	sum := 0.0
	for i, y := range outputs {
		d := float64(y) - targets[i]
		sum += mask[i] * d * d
	}
	return sum / float64(len(outputs))
}

// Correct judges a trial. An output above 0.5 says that its bit is set. bins is the fraction of bins in which all unmasked bits are right, of
// those bins that have one; elements is the fraction of unmasked elements that are right. Both are 1 where everything is masked.
func Correct[F float32 | float64](outputs []F, targets, mask []float64, bits int) (bins, elements float64) {
	var rightBins, countedBins, rightElements, counted float64
	for from := 0; from < len(outputs); from += bits {
		here, right := 0.0, 0.0
		for i := from; i < from+bits; i++ {
			if mask[i] == 0 {
				continue
			}
			here++
			if (outputs[i] > 0.5) == (targets[i] > 0.5) {
				right++
			}
		}
		counted, rightElements = counted+here, rightElements+right
		if here > 0 {
			countedBins++
			if right == here {
				rightBins++
			}
		}
	}
	if counted == 0 {
		return 1, 1
	}
	return rightBins / countedBins, rightElements / counted
}
