// Package distance says how far apart two linear dynamical systems are, whatever coordinates each is written in.
//
// [Align] minimises |A - C B C^T| over all orthogonal C, of either determinant, for operators scaled to Frobenius norm 1: dynamical similarity
// analysis (Ostrow, Eisen, Kozachkov & Fiete 2023, "Beyond geometry: comparing the temporal structure of computation in neural circuits with
// dynamical similarity analysis"). It is for operators of the same size. The problem is not convex. What is found is the best of many
// starts, so an upper bound on the distance; [Alignment.Bound] is a lower bound that no C can pass, and where the two meet the result is proven.
//
// [Wasserstein] compares spectra alone: sizes may differ, it is exact and quick, but it cannot see how far from normal an operator is.
// [Controllability] compares driven systems x' = A x + B u (Huang et al. 2025, InputDSA).
//
// A caller with many operators makes each an [Operator] once, which holds everything that depends on it alone, and aligns pairs of these from
// as many goroutines as it likes.
package distance
