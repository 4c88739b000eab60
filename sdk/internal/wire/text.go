package wire

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// maxText is the longest text, in bytes, that is taken of a peer for people to read.
const maxText = 4096

// Clean makes text of a peer fit to be shown: control characters, which a terminal would obey, and characters that change the direction of writing become
// U+FFFD, all but line feeds and tabs; what is too long is cut.
func Clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !component.Printable(r) {
			return utf8.RuneError
		}
		return r
	}, s)
	return cut(s, maxText)
}

// line is Clean for what stands on one line.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, Clean(s))
}

// width reads a width in seconds, e.g. of a bin.
func width(path string, x float64) error {
	if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return component.Invalid(path, "%v: a finite number of at least 0 is needed", x)
	}
	return nil
}
