package component

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable reports whether a terminal may be given the character: none that it would obey, and none that changes the direction of writing.
func Printable(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return false
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return false
	}
	return true
}

// CheckText reports a text of a component's author that is longer than so many bytes, is not UTF-8 or has a character that is not [Printable].
func CheckText(path, text string, limit int) error {
	if len(text) > limit {
		return Invalid(path, "%d bytes: at most %d are allowed", len(text), limit)
	}
	if !utf8.ValidString(text) {
		return Invalid(path, "%.100q: UTF-8 is needed", text)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return !Printable(r) }); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		return Invalid(path, "character %s at byte %d: text without control characters is needed", fmt.Sprintf("%U", r), i)
	}
	return nil
}
