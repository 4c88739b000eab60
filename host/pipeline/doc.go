// Package pipeline turns a resolved experiment into a graph of stages and runs it over a store: what is stored is not run again, stages
// that do not depend on each other run side by side within a budget of threads, and what a stage made is linked into the run's folder.
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
package pipeline
