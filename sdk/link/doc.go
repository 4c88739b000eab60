// Package link connects a model to a closed-loop task: it makes of a task's episodes the environment of a sequence (see nn.Environment), for one shard of a batch or for several that
// step together.
//
// The shards of a [party] step together, with one call on the task for each bin of all of their trials: a call that is direct where the task is in the model's own process, and a message where it is in
// another. What happens to a trial depends neither on the shard nor on the party that it is in, and gradients are added up shard by shard, so both ways give the same bits.
package link
