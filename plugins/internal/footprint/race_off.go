//go:build !race

package footprint

const measurable = true
