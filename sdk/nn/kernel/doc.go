// Package kernel holds the numerical kernels under package nn: whole sequences of recurrent networks forward and backward, linear
// maps, losses with their gradients, counter-based noise, the steps of optimisers and functions of arrays, in float32 and float64.
//
// Everything public is a row-major array without padding: sequences are (B, T, C) for batch, bins and channels; weights have
// PyTorch's shapes and gate order (reset, update, new). An argument that is nil is not wanted (an output, a gradient) or zero (a
// cotangent, a bias, an initial state).
//
// A batch is cut into shards of ShardRows trials (or what SequenceConfig.ShardRows says), whatever the number of threads. Sums over trials are taken within a shard first
// and then over shards in their order, so results are the same to the bit for any number of threads. What a trial gets never
// depends on the trials beside it: outputs, states, noise and the gradients of inputs are the same to the bit however a batch is split.
// Gradients of weights are those of the whole batch if it is split at whole shards and the parts are added one after the other
// into the same gradient (the Add fields).
//
// A plan (Sequence, Linear) holds all memory that a shape needs and is reused from call to call; it is not safe for concurrent use. A
// plan keeps one tape per shard of its batch. A trainer that wants a small footprint plans a shard's trials with one thread for each
// worker, takes every shard from forward to backward inside Shards, and adds the shards' gradients in order with Sum: same bits, and
// memory that does not grow with the batch.
//
// The C code is compiled for several instruction sets from one source; Variant says which one runs. Variants round differently from
// each other, in the last digits; a variant always rounds the same way. Subnormal numbers are zero in all of them: gradients that vanish over many
// bins become such numbers, which some processors take a hundred times as long for (an autoencoder of 400 bins took 6 times as long in all).
package kernel

// Float is the element type of a kernel.
type Float interface{ float32 | float64 }
