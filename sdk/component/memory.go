package component

// Memory is an estimate of what an instance takes at its peak, in whatever it may be asked to do: opening, training, rolling out, comparing.
type Memory struct {
	// Bytes that the process holds for it, beyond what it holds without any instance; good to a factor of two from tens of megabytes on. Buffers that
	// are one a thread are counted for the number of threads that the question names. 0: not known; math.MaxInt64: more than can be counted.
	Bytes int64
	// Params names the parameters that it depends on, the strongest first: what it grows with, then what saves memory; empty where the sizes of the data alone decide.
	Params []string
}
