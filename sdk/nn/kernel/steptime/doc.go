// Package steptime times whole training steps of the kernels, and says how near they come to the rate at which the processor can multiply matrices.
//
// A step is all that a training does with one batch, in float32: the sequence forward from a zero state, a linear readout of every bin, the mean squared error over every
// bin, backpropagation through time, the gradient's norm clipped at 1, and Adam. A bidirectional case is an encoder: both directions forward, a readout of the two
// final states, their mean squared error, and back. Inputs and targets are normal random numbers that stay the same from step to step. Trials are cut into shards, which
// threads take from forward to backward one at a time, as package train does, so the results are the same to the bit for any number of threads.
//
// Floating-point operations are those of the products that such a step cannot do without, two for each multiplication and addition, at the sizes asked for (not those that
// vectors are padded to). For G gates, H units, I inputs and O outputs these are, for each trial and bin,
//
//	forward   2 (G H (H + I) + H O)
//	backward  2 (G H H + H O)          to the states; nothing wants the gradient of the inputs
//	weights   2 (G H (H + I) + H O)
//
// and, for a NODE, three products for each linear map but for the part of the first one's gradient that is the inputs'. Functions of single units, the loss, clipping and
// Adam take time and count nothing.
//
// The peak is the rate of the kernels' own product on matrices that stay in the first-level cache, see [kernel.CacheProduct], on as many threads at once as the step has. Shares
// of it are therefore shares of what this program could do on this machine at that moment, which may be fewer operations than the processor's data sheet promises.
package steptime
