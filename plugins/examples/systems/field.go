package main

import (
	"maps"
	"math"
	"slices"
)

// field is a system of ordinary differential equations, of which the first latents components are what is called latent.
type field struct {
	size, latents int
	// rate writes dx/dt, slope its Jacobian (size, size), row-major.
	rate  func(x, dx []float64)
	slope func(x, j []float64)
	// start is where a trial is before the task's pulse moves it by spread times the pulse: spread is (size, places), row-major.
	start  []float64
	spread []float64
}

// places is how many channels the task's pulse has.
const places = 3

// The rings turn once in two seconds, and what pulls a trajectory to another does so within a quarter of a second.
const (
	turning = math.Pi
	pull    = 4.0
)

// fields are the systems by name.
func fields() map[string]field {
	return map[string]field{
		// Lorenz 1963, "Deterministic nonperiodic flow": sigma 10, rho 28, beta 8/3.
		"lorenz": {
			size: 3, latents: 3,
			rate: func(x, dx []float64) {
				dx[0], dx[1], dx[2] = 10*(x[1]-x[0]), x[0]*(28-x[2])-x[1], x[0]*x[1]-8.0/3*x[2]
			},
			slope: func(x, j []float64) {
				copy(j, []float64{-10, 10, 0, 28 - x[2], -1, -x[0], x[1], x[0], -8.0 / 3})
			},
			start: []float64{0, 0, 25}, spread: []float64{8, 0, 0, 0, 8, 0, 0, 0, 8},
		},
		// Roessler 1976, "An equation for continuous chaos": a 0.2, b 0.2, c 5.7, seven times as fast, so that it turns about as often as Lorenz's.
		"roessler": {
			size: 3, latents: 3,
			rate: func(x, dx []float64) {
				dx[0], dx[1], dx[2] = 7*(-x[1]-x[2]), 7*(x[0]+0.2*x[1]), 7*(0.2+x[2]*(x[0]-5.7))
			},
			slope: func(x, j []float64) {
				copy(j, []float64{0, -7, -7, 7, 1.4, 0, 7 * x[2], 0, 7 * (x[0] - 5.7)})
			},
			start: []float64{0, 0, 0}, spread: []float64{4, 0, 0, 0, 4, 0, 0, 0, 0},
		},
		// A ring on which the state turns by itself: what disturbs it stays.
		"ring": {
			size: 2, latents: 2,
			rate:  func(x, dx []float64) { dx[0], dx[1] = -turning*x[1], turning*x[0] },
			slope: func(_, j []float64) { copy(j, []float64{0, -turning, turning, 0}) },
			start: []float64{0, 0}, spread: []float64{1, 0, 0, 0, 1, 0},
		},
		// The same ring on average, but led by another that is not seen: what disturbs the state is gone after a quarter of a second (after Galgali, Sahani & Mante 2023).
		"led-ring": {
			size: 4, latents: 2,
			rate: func(x, dx []float64) {
				dx[0], dx[1] = -turning*x[1]+pull*(x[2]-x[0]), turning*x[0]+pull*(x[3]-x[1])
				dx[2], dx[3] = -turning*x[3], turning*x[2]
			},
			slope: func(_, j []float64) {
				copy(j, []float64{-pull, -turning, pull, 0, turning, -pull, 0, pull, 0, 0, 0, -turning, 0, 0, turning, 0})
			},
			start: []float64{0, 0, 0, 0}, spread: []float64{1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0},
		},
	}
}

func systems() []string { return slices.Sorted(maps.Keys(fields())) }

// stepper takes steps of a system in time, by the classical Runge-Kutta method, and of the derivative of that very step.
type stepper struct {
	field
	// dt is the time of a bin in seconds, cut into so many steps.
	dt    float64
	steps int
}

// advance moves x on by a bin. Where m is not nil it is a matrix (size, columns) of tangents, which are moved along.
func (s stepper) advance(x, m []float64) {
	n := s.size
	columns := len(m) / n
	h := s.dt / float64(s.steps)
	var k, y, j, km, ym, sumK, sumM = make([]float64, n), make([]float64, n), make([]float64, n*n), make([]float64, len(m)), make([]float64, len(m)),
		make([]float64, n), make([]float64, len(m))
	for range s.steps {
		copy(y, x)
		copy(ym, m)
		clear(sumK)
		clear(sumM)
		for stage, weight := range []float64{1, 2, 2, 1} {
			s.rate(y, k)
			if columns > 0 {
				s.slope(y, j)
				for i := range n {
					for c := range columns {
						v := 0.0
						for l := range n {
							v += j[i*n+l] * ym[l*columns+c]
						}
						km[i*columns+c] = v
					}
				}
			}
			far := h
			if stage < 2 {
				far = h / 2
			}
			for i := range n {
				sumK[i] += weight * k[i]
				y[i] = x[i] + far*k[i]
			}
			for i := range m {
				sumM[i] += weight * km[i]
				ym[i] = m[i] + far*km[i]
			}
		}
		for i := range n {
			x[i] += h / 6 * sumK[i]
		}
		for i := range m {
			m[i] += h / 6 * sumM[i]
		}
	}
}
