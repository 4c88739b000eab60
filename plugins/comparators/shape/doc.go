// Package shape compares the shape that the latents of two subjects trace, whatever their coordinates: representations, not dynamics. Two models whose latents have
// the same shape may still move through it by different laws (Ostrow et al. 2023), and one with the right dynamics among invented dimensions may score badly.
//
// X (rows, dx) and Y (rows, dy) are latents of the same trials and bins; C, Cx and Cy are the cross-covariance and the covariances. What has a fit is fitted on
// training trials and measured on validation trials, with the fit's means, axes and rotation; the value on the training trials themselves, which is what is usually
// published, stands beside it as NAME_insample. Every value on validation trials has a bootstrap interval over them, and each value a null: the same
// with the trials of one subject shuffled, in training and validation.
//
// # Shape metrics
//
// Williams, Kunz, Kornblith & Linderman 2021, "Generalized shape metrics on neural representations". Latents are centred and partially whitened,
// phi(X) = X (alpha I + (1-alpha) Cx^-1/2), and the best rotation between the two is found; the narrower gets dimensions of zeros:
//
//	angular    arccos(max_T tr(phi(X)^T phi(Y) T) / (|phi(X)| |phi(Y)|)), rad: 0 the same shape, pi/2 nothing in common
//	euclidean  min_T |phi(X) - phi(Y) T| / sqrt(rows)
//
// alpha 1 is Procrustes: scale along each direction counts; alpha 0 is that of canonical correlations: no invertible linear map counts. In between both terms
// have to be of one size, so with the parameter scale latents are first divided by the root of tr(Cx^2)/tr(Cx), the mean variance along the principal axes weighted by
// itself, which neither units nor dimensions of zeros change. Without it latents are in their own units, as published.
//
// # Canonical correlations
//
// cca is the mean over min(rank X, rank Y) canonical correlations (Hotelling 1936); svcca the same after a projection on the principal axes that explain svcca_variance of the
// variance (Raghu et al. 2017). In the training trials canonical correlations rise with the number of latents alone: look at the null.
//
// # Linear CKA
//
// cka is |C|^2 / (|Cx| |Cy|) in Frobenius norms (Kornblith et al. 2019), on validation trials, without a fit. With few rows it is biased upwards; cka_debiased
// replaces the three terms by their unbiased estimates (Song et al. 2007), which treat rows as independent: bins of one trial are not, so it corrects too little. Its
// interval is from resamples of trials, on which each term is less twice what resampling adds to it, and so does not take rows for independent: where they hang together, the
// debiased estimate may lie above it. That of cka is less what resampling adds.
//
// # Representational similarity
//
// rsa compares the distances among the same states in both subjects (Kriegeskorte et al. 2008): the dissimilarity is the Euclidean distance of latents, the states are
// bins at even distances in validation trials (rsa_items in all), and the correlation of the two lists of distances is Spearman's or Pearson's. On resamples ranks are those among all
// pairs of states; a state is not compared with its own copies.
package shape
