// Package pipeline turns a resolved study into a graph of stages and runs it over a store: what is stored is not run again, stages
// that do not depend on each other run side by side within a [Budget] of threads, and what a stage made is linked into the folders of the points that have it.
//
// The stages are train (a task and a model give weights), simulate (weights, the task and a simulator give a data set), one fit for each
// data-trained model, and one compare for each comparator. Each stage starts a process for every plugin that it uses, calls
// components through sdk/client alone, streams what comes back into host/artifact, and ends its processes.
//
// # Keys
//
// A stage's entry in the store is named by the SHA-256 of everything that its bytes depend on, its [KeyParts]: the layout version of this package, the
// components with their declared versions and the checksums of the executables that serve them, the numeric environment, resolved
// parameters, seeds, and the content hashes of the files that it reads. Not in it: the number of threads and jobs, paths, times.
// Because inputs enter by content, a stage whose input was recomputed to the same bytes is still stored.
//
// # Studies
//
// A graph holds every stage of all points of a study once: stages of the same kind, name, components, parameters, seeds, settings and inputs are one, and are
// named by what they depend on, "fit/gru-64 [seed=0 latent=8]". A point's folder is filled as its stages end; points that fail leave the others. Shards of a
// study run into one folder or into several, which [Join] joins; hosts that have the same stages before them divide them among themselves.
//
// # Faults
//
// A run that was killed is gone on with by running the same study again, into the same folder or another: stages that were complete are in the store, and a training
// goes on from its checkpoint, to the same bytes. A stage whose plugin died, hung, or made no progress for too long is given one more attempt within the run, which
// only repeats what the first would have done; one that was refused, that diverged or that outgrew its memory is not. [Validate] finds
// what can be known before anything starts: what components say of their parameters and of the sizes they will meet, memory, and what is loaded.
package pipeline
