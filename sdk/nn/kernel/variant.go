package kernel

/*
#cgo CFLAGS: -std=gnu11 -O3 -Wno-psabi
#include "kernel.h"
*/
import "C"

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// VariantEnv names the environment variable that forces an instruction set, read once at first use. Unset or empty means the best one.
const VariantEnv = "CTDB_KERNEL_VARIANT"

// In the order of the numbers that ctdb_variant takes.
var variantNames = [...]string{"generic", "avx2", "avx512"}

// Variants lists the instruction sets that this build and processor can run, the best first: of "avx512" (AVX-512 F, DQ, BW and VL), "avx2" (with
// FMA) and "generic" (SSE2 or NEON).
func Variants() []string {
	var names []string
	for i, n := range slices.Backward(variantNames[:]) {
		if C.ctdb_variant(C.int(i), 0) != nil {
			names = append(names, n)
		}
	}
	return names
}

var chosen = sync.OnceValues(func() (string, error) {
	return chooseVariant(os.Getenv(VariantEnv), Variants())
})

func chooseVariant(forced string, have []string) (string, error) {
	if forced == "" {
		return have[0], nil
	}
	if !slices.Contains(have, forced) {
		return "", fmt.Errorf("kernel: variant %q: this processor and build have %s", forced, strings.Join(have, ", "))
	}
	return forced, nil
}

// CheckVariant reports that CTDB_KERNEL_VARIANT names what this processor and build cannot run: no plan can be made then.
func CheckVariant() error {
	_, err := chosen()
	return err
}

// Variant is the instruction set that plans use unless told otherwise, and that losses, noise, optimisers and functions of arrays always use: the one that
// CTDB_KERNEL_VARIANT names, or else the best. If the variable names one that cannot run, plans return the error and Variant is the best.
func Variant() string {
	if name, err := chosen(); err == nil {
		return name
	}
	return Variants()[0]
}

// operations is the table of functions of a variant ("" for the default) in F's precision.
func operations[F Float](name string) (*C.ctdb_ops, error) {
	if name == "" {
		var err error
		if name, err = chosen(); err != nil {
			return nil, err
		}
	} else if _, err := chooseVariant(name, Variants()); err != nil {
		return nil, err
	}
	return C.ctdb_variant(C.int(slices.Index(variantNames[:], name)), isDouble[F]()), nil
}

func isDouble[F Float]() C.int {
	var f F
	if _, ok := any(f).(float64); ok {
		return 1
	}
	return 0
}

// fallback is the table of Variant().
func fallback[F Float]() *C.ctdb_ops {
	// Variant() is one of variantNames and can run.
	return C.ctdb_variant(C.int(slices.Index(variantNames[:], Variant())), isDouble[F]())
}
