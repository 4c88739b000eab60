package main

import (
	"errors"
	"io/fs"
	"os"
)

// dieOnce ends the process if there is the file, which it removes: the next process lives.
func dieOnce(file string) error {
	if file == "" {
		return nil
	}
	err := os.Remove(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		os.Exit(3)
	}
	return err
}
