// Package spectra compares models by two kinds of spectra: the Lyapunov exponents of their dynamics, which say how fast nearby states part or meet, and the power spectra of
// their trajectories, which say how fast they move.
//
// # Lyapunov exponents
//
// A model is run through its Dynamics service from states of validation trials under the inputs of these (or under none, or a constant one), without noise. Orthonormal directions are
// carried along by the exact Jacobians, V' = J V = Q R, and orthonormalised in each bin (Benettin et al. 1980; Shimada & Nagashima 1979): exponent i is the mean of ln R_ii over bins and trials,
// per bin, or divided by the bin width per second. The first part of each trial (transient) turns the directions only. Positive exponents mean chaos, exponents near 0 a direction that
// remembers, as along a line of attractors, negative ones a direction that forgets: -1/exponent is its time constant. Trials are short: what is found are finite-time exponents along the
// trajectories that the data visits, and the figure shows whether they have settled. Over infinite time exponents do not depend on coordinates; over T bins they do, by up to the logarithm of how unlike
// lengths in these are, over T, and directions that have not parted share their exponents. All intervals are therefore widened by how much the exponent changes from the first half of what counts to the second, or, if
// that is more, by how far its running sum leaves a straight line, over T; where that is as much as the exponent, its sign is not known and a reason says so. The Kaplan-Yorke dimension is left out where a
// sum of exponents by whose sign it jumps is not settled.
//
//	lyapunov/1 ...          the leading exponents, 1/s (1/bin where the bin width is not known), and lyapunov_per_bin/1 ...
//	lyapunov_sum            of those computed: the rate at which volumes of that dimension grow
//	kaplan_yorke_dimension  j + (l_1 + ... + l_j)/|l_j+1| for the largest j with a sum that is not negative; 0 where all exponents are (Kaplan & Yorke 1979)
//	lyapunov_drift          by how much the interval of the first exponent is widened, in the exponents' unit
//	lyapunov_distance       the mean difference of the leading exponents that both subjects have, in falling order: the 1-Wasserstein distance of the two sets
//
// # Power spectra
//
// Welch's estimate (Welch 1967): each validation trial is cut into segments that overlap by half, the mean of a segment is taken off, a Hann window put on, and squared Fourier coefficients are
// averaged over segments and trials. Of latents the powers of all channels are added up, which no rotation, shift or scale of latents changes; of rates each neuron has its own spectrum. Without the
// frequency 0 spectra are divided by their sum, so that p(f) and q(f) are compared as distributions:
//
//	power_hellinger    sqrt(1 - sum_f sqrt(p q)): 0 the same spectrum, 1 no frequency in common (Mikhaeil, Monfared & Durstewitz 2022 use it for reconstructed dynamics)
//	power_wasserstein  sum_f |P(f) - Q(f)| df of the running sums P and Q, optimal transport over frequencies, Hz (cycles/bin): how far power has to be moved
//
// Those of rates, power_hellinger_rates and power_wasserstein_rates, are means over neurons. The null shuffles the bins within each trial of the second subject: the same values without dynamics.
//
// # Spectra of operators
//
// sgot is the spectral-Grassmann optimal transport distance (Germain, Flamary, Kostic & Lounici 2025) of the linear operators that best advance two subjects' latents by a bin. Operators are compared
// on one space: the second subject's latents are taken to the first's by least squares on training trials, and both are written in the first's leading principal axes, scaled to unit variance
// (operator_rank, operator_variance); the operators are those of validation trials. Each eigenvalue l with its right and left eigenvectors r and v is a point, and
//
//	sgot  sqrt(min over transport plans of the mean of (eta |l - l'| + (1-eta) sqrt(1 - |<r,r'>|^2 |<v,v'>|^2))^2)
//
// with eigenvalues per bin: 0 where both have the same modes along the same directions. What the map by least squares leaves out, such as invented dimensions, does not count; where eigenvalues
// repeat, eigenvectors are not unique and the distance is too large.
//
// Chance only enlarges a distance. Intervals of distances are therefore percentiles of the squares of the resamples, less what sampling alone adds to a square, once in the value and once more in a resample: they
// are of the true distance, and a value above its interval is mostly sampling. That of sgot is for the map and the axes as they are. Power spectra also have split halves, the distance of a subject from itself.
//
// Equal power spectra are necessary for equal dynamics, not sufficient: phases are not looked at.
package spectra
