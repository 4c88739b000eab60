// Package body holds the equations of a planar body that muscles move, in Go and one trial at a time: to be read, and to check the kernels of
// package arm, which compute the same for whole batches. Its parameters are the only ones: the kernels are given them.
//
// A body is four pieces: a [Skeleton] (what moves, and how torques accelerate it), [Paths] (where the muscles run), a [Muscle] (what force one
// gives) and an [Activation] (how it follows its excitation). [Rigid] joins them where tendons do not stretch, [Compliant] where they do.
//
// All are written over [Number]: in float64 for values, in complex128 for derivatives. The imaginary part of f(x + ih) is h f'(x) for any
// real-analytic f, and with h = 1e-100 nothing cancels, so derivatives are exact to rounding without a line of calculus (Squire & Trapp 1998,
// "Using complex variables to estimate derivatives of real functions"). Branches and clips look at real parts: a clip passes the derivative
// inside its range and at its ends.
//
// Units are SI and radians: m, m/s, rad, rad/s, N, N m, s.
package body
