//go:build unix && !linux

package serve_test

const killsAtEnd = false

func clog() { select {} }
