// Package dmd estimates the linear operator that advances a recording by one bin: dynamic mode decomposition of delay embeddings.
//
// [Fit] is for a system on its own (Schmid 2010; Brunton et al. 2017, "Chaos as an intermittently forced linear system"): each bin is joined with those
// before it, the embedded rows of all trials are whitened by their singular value decomposition, and the operator is the ridge regression of each row on the
// one before, within trials, in the leading whitened coordinates. [FitDriven] does the same with known inputs (Proctor, Brunton & Kutz 2016).
// [Subspace] identifies state, input and output maps of a driven system from what goes in and comes out, where states are not seen (Van Overschee & De Moor
// 1994, N4SID). No pair of rows ever reaches across the boundary of a trial.
//
// How many coordinates are kept is a [Rank]. A fitted operator predicts other trials, which is how the number of delays and the rank are chosen: see
// [Model.Predict].
package dmd
