//go:build race

package footprint

// measurable is false under the race detector, whose own memory is many times that of the work.
const measurable = false
