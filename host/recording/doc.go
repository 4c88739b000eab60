// Package recording turns recordings as experimenters keep them into data sets that models are fitted to: counts of spikes in a NumPy archive ([ReadArchive]), or
// times of spikes in a table of text ([ReadTable]). What was read is a [Recording], trials of possibly unequal length, which [Recording.Write] divides into held-in and held-out neurons and
// into training and validation trials.
//
// NumPy's archives are read by this package itself: the libraries for it in Go take a file that was cut short, or a short read of a compressed one, for zeros.
package recording
