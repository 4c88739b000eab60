package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// number writes a value for a table whose columns line up on the decimal point: three decimals, an exponent where that would show nothing or too much, and
// empty for NaN.
func number(v float64) string {
	a := math.Abs(v)
	var s string
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return ""
	case a != 0 && (a < 5e-4 || a >= 1e6):
		s = strconv.FormatFloat(v, 'e', 2, 64)
		mantissa, exponent, _ := strings.Cut(s, "e")
		sign := strings.TrimPrefix(exponent[:1], "+")
		s = mantissa + "e" + sign + strings.TrimLeft(exponent[1:], "0")
	default:
		s = strconv.FormatFloat(v, 'f', 3, 64)
	}
	if strings.Trim(s, "-0.") == "" {
		s = "0.000"
	}
	return strings.ReplaceAll(s, "-", "−")
}

// counted writes a number of things, in a unit that says what, without decimals: spaces as wide as the point and three digits keep it in line with others.
func counted(v float64, unit string) string {
	if unit != "points" || v != math.Trunc(v) || math.Abs(v) >= 1e6 {
		return number(v)
	}
	return strings.ReplaceAll(strconv.FormatFloat(v, 'f', -1, 64), "-", "−") + "\u2008\u2007\u2007\u2007"
}

// span writes a duration as a person says it.
func span(seconds float64) string {
	switch {
	case math.IsNaN(seconds) || math.IsInf(seconds, 0) || seconds < 0:
		return ""
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 100:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 6000:
		return fmt.Sprintf("%d min %02d s", int(seconds)/60, int(seconds)%60)
	}
	return fmt.Sprintf("%d h %02d min", int(seconds)/3600, int(seconds)/60%60)
}

// day writes a time to the minute, with its zone.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2 January 2006, 15:04 MST")
}

// value writes a parameter.
func value(v any) string {
	switch x := v.(type) {
	case nil:
		return "none"
	case string:
		if x == "" {
			return "“”"
		}
		return x
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case []any:
		parts := make([]string, len(x))
		for i, p := range x {
			parts[i] = value(p)
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

// short is the beginning of a digest.
func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12]
	}
	return digest
}
