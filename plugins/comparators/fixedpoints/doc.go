// Package fixedpoints finds where a model's dynamics stand still, says what happens around those points, and compares what was found in two models.
//
// A fixed point of x' = F(x, u) under a constant input u is a state with F(x, u) = x; q(x) = 1/2 |F(x, u) - x|^2 measures how far from one a state is
// (Sussillo & Barak 2013, "Opening the black box"; Golub & Sussillo 2018, "FixedPointFinder"). Everything goes through model.Dynamics, so a model of any plugin can be
// examined. All arithmetic is in float64.
//
// # Search
//
// Starts are visited states and points between two visited states, with noise. Each is iterated forward twice where that lowers q, then descends q by Levenberg-Marquardt steps
// with the exact Jacobian and geodesic acceleration (Transtrum & Sethna 2012); once factored, a Jacobian serves for further steps while they pay. The damping begins small: 1e-6
// takes a third to a half of the Jacobians that 0.1 takes on trained flip-flops, and a sixth as many starts end in slow valleys. A start leaves the search as soon as it is known where
// it goes: where one chord step, with the inverse that is kept of each point found, takes it four times closer to that point (Kantorovich's condition, tested along the one
// direction that matters). So Jacobians are asked for only where something new may be found.
// A start whose descent ends in a minimum of q that is not 0, as most do where an input drives the dynamics, is followed where F takes it: step by step, then in leaps that grow as
// the dynamics become slow (settle.go). Nearly all come to a stable point so. On the way they may pass a saddle: from the slowest states that were passed q is descended again.
// Points that are found are polished by Newton steps until rounding is all that is left; points nearer than tol_unique are one point. Then the search starts again from the
// middle between any two of the points, until nothing new is found: with isolated points the same set comes out for any seed. Where many descents failed, or the indices of the
// points, the signs of det(1 - J), do not sum to 1 as they must where states stay in a bounded region, saddles are also looked for on the edges between the basins of stable points (edges.go).
//
// Where no point is stable all this leads nowhere, and rightly so: of the random GRU of the golden values, whose one point has two unstable directions, 7 of 10 starts come to no point, and F, iterated 20000
// times, takes each of 20 starts to one of a few closed curves that it goes round for ever. The index then is 1 all the same, and the result says so.
//
// A start that comes to rest at a minimum of q that is not 0 is a slow point, reported apart with its q, if q is at most slow_q. Points farther from the starts' centroid than
// outlier times the mean distance of a start are dropped and counted.
//
// Where the step is piecewise linear, as that of rectified units is, the Jacobian is the same all around most states, and each linear region has one point at most, which is solved for exactly. With one
// layer of kinks these are found from the Jacobians along a line (pieces.go), and all regions within reach are gone through by branch and bound, as long as they are not too many (regions.go): then it is
// known that no point is missing. Otherwise Newton's whole steps go from region to region, as in SCYFI (Eisenmann et al. 2023).
//
// # What is said of a point
//
// Eigenvalues of the Jacobian in order of modulus (stable: all of modulus below 1; the unstable directions are those of modulus above 1), left and right eigenvectors, time
// constants -dt/ln|lambda| (negative: of growth), input Jacobians, the number of starts whose search ended there (hits: where q is descended to, which is not where the dynamics
// go; where the dynamics go only if that descent failed), and for stable points the basin: the number of starts that go there when F is iterated: first step by step, then, where the dynamics have become slow, in leaps that follow them, until F is as good as linear on the rest of the
// way. So basins are shares of the states that were visited and of those between, not volumes of the state space. Where inputs move, points are found under each of several constant inputs and followed from one to the next.
//
// # Comparison
//
// The points of two subjects are compared in the second one's latents: an affine map, fitted by least squares to the latents of training trials, carries those of the first
// there; then points are paired by the optimal assignment, with distances in units of the root mean square distance of the second's latents from their mean. A point without a partner within
// one such unit counts as one: the optimal subpattern assignment metric of Schuhmacher, Vo & Vo (2008). So a model with a single point, wherever it is, is far from one with 27.
package fixedpoints
