// Package train is the trainer: epochs of seeded batches, Adam and AdamW as PyTorch defines them, clipping by norm, validation, best and last weights,
// early stopping, checkpoints and resuming, divergence detected and named; and what a model needs around it, loading trials, rolling out over
// streams of blocks, and dynamics.
//
// A [Network] is written down once, as parameters and a function that builds it on a graph (package nn). Fit makes one graph of
// kernel.ShardRows trials (in closed loop link.ShardRows) for each worker and takes every shard of a batch forward and back; shards' gradients are added in their order, so that the
// result is the same to the bit for any number of threads. All random numbers are functions of the seed, their purpose, the epoch and the trial's number, so a
// training that was interrupted and resumed ends with the same bytes as one that was not.
//
// A program that trains in closed loop by itself, not as a plugin of a host, should have a GOMAXPROCS of one more than its threads: kernels are called for a bin at a time, and Go's
// scheduler takes the places of threads that are in C away where no other place is free.
package train
