//go:build !unix

package serve_test

// behave is for tests of processes, which there are none of here.
func behave(string) {}
