//go:build !linux

package serve

import "os"

// killAtEnd does nothing: the kernel offers no such thing here.
func killAtEnd(*os.File) {}

// setName does nothing: the name is that of the file here.
func setName(string) {}
