// Package artifact defines the files that a study leaves behind and reads and writes them: HDF5 data sets and arrays, safetensors
// weights, JSON records of stages, metrics, figures, scores and results, checksums, and the run folder that holds them.
//
// Every file is written under a temporary name, brought to the disk and renamed, so that a file with its final name is whole. The bytes
// of a file depend on its contents alone: HDF5 files carry no timestamps, JSON maps are sorted, and arrays are cut into chunks by their
// shape and not by how they were handed over. The curves of a training are there three times, as JSON lines, as a table and as an event file for TensorBoard;
// the latter says nothing of when, so that it too can be had again. Only what [LiveMetrics] writes grows while others read it.
//
// This is the only package that touches HDF5. libhdf5 as distributions package it must not be called from two threads at once, so
// every call is made under one lock in this package: any number of goroutines may read and write different files, and wait for each other.
package artifact

// The names of the files in a run's folder. That of a study has [StudyFile] and [PointsDir] besides, and no stages of its own.
const (
	ExperimentFile = "experiment.yaml"
	ProvenanceFile = "provenance.json"
	LogFile        = "log.jsonl"
	ReportFile     = "report.html"
)

// The names of the files in a stage's folder; ResultsFile and FiguresDir also in a run's.
const (
	RecordFile      = "record.json"
	ScoreFile       = "score.json"
	MetricsFile     = "metrics.jsonl"
	MetricsTable    = "metrics.csv"
	EventsFile      = "events.out.tfevents.0.ctdb-host"
	FiguresDir      = "figures"
	ResultsFile     = "results.json"
	WeightsFile     = "weights.safetensors"
	LastWeightsFile = "weights-last.safetensors"
	DatasetFile     = "dataset.h5"
	RolloutFile     = "rollout.h5"
	InferredFile    = "inferred.h5"
	MatricesFile    = "matrices.h5"
)
