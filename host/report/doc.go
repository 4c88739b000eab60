// Package report makes the report of a run: one HTML file that needs nothing else, and its figures as SVG and PNG files.
//
// It reads the run's folder through package artifact alone. A run with stages missing, failed or loaded from elsewhere still has a report, which says what is
// not there and why. The figures that components returned stand beside the host's own and are drawn alike; see package figure.
package report
