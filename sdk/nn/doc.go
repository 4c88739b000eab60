// Package nn builds recurrent networks: layers, recurrent sequences and losses as Gorgonia operations over the kernels of package kernel.
//
// A network is a [Params], its parameters under PyTorch's names, and a function that writes its equations down on a [Graph]: encoder,
// initial state, cell, readout, loss. The graph holds one shape of batch. Its operations check shapes when they are applied, work on
// memory that is planned once and reused in every run, and have their gradients registered, so that Gorgonia differentiates the
// whole; they run in the order in which they were added, in the goroutine of [Graph.Run]. A cell that the kernels do not have is written down as a step, see [Stepped]. Package train has an example. Gorgonia's own operations on [Graph.Expr] mix with them; but two of one
// kind and shape whose arguments differ are one to it if they have the same hash, of 32 bits: not for thousands of nodes, as of steps.
//
// A trainer makes one graph of kernel.ShardRows trials (or of more, see Config.ShardRows) for each of its workers and takes every shard of a batch through it, forward and
// back, so that memory does not grow with the batch and results do not depend on the number of workers. What differs from run to run and
// is no array (the size of the whole batch, the trials' numbers, the epoch) is in a [Pass].
//
// The element type is float32 for training and float64 for tests, from the same code.
//
// # How an operation with several results is built
//
// Gorgonia's operations have one result. A sequence has outputs, states and a final state, and its backward pass the gradients of all its
// arguments. So the sequence's node yields a token, a scalar that only carries the order, and each result is a head on it; a head's
// gradient is handed over to the sequence and gives a token, the tokens' sum starts the backward pass, and each argument's gradient is
// picked from that.
package nn
