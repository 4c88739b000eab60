// Package link connects a model to a closed-loop task: it makes of a task's episodes the environment of a sequence (see nn.Environment), for one shard of a batch or for several that
// step together.
//
// A call on a task in the model's own process is direct. A task in another process is asked for several shards at once, a message for each bin of all of their trials: the shards
// of a [party] wait for each other in each bin while the shards of other parties compute. What happens to a trial depends neither on the shard nor on the party that it is in, and
// gradients are added up shard by shard, so both ways give the same bits.
package link
