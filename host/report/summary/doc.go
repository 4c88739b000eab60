// Package summary sums up a study: what each run of it measured, how far that spreads over seeds at each point of the matrix, and which points have no result.
//
// A series is one metric of one subject; its runs are the study's points. Cells are groups of runs that agree on some of the axes. An axis that
// makes no difference to a series, such as the size of a model that it is not of, does not multiply its runs.
package summary
