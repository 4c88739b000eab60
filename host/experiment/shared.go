package experiment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shared tells the problems of all points, given by Point.Index, each once. One that only some points have says in Problem.Point which these are.
func (s *Study) Shared(problems [][]Problem) []Problem {
	at := map[Problem][]int{}
	var order []Problem
	for i, list := range problems {
		for _, p := range list {
			points, seen := at[p]
			if !seen {
				order = append(order, p)
			}
			if len(points) == 0 || points[len(points)-1] != i {
				at[p] = append(points, i)
			}
		}
	}
	for k, p := range order {
		if len(s.Axes) > 0 && p.Point == "" {
			order[k].Point = s.where(at[p])
		}
	}
	return order
}

// where describes some of the points: by the values that they have in common, else by the first one's name; empty for all.
func (s *Study) where(points []int) string {
	if len(points) == len(s.Points) {
		return ""
	}
	product := 1
	var parts []string
	stride := len(s.Points)
	for _, a := range s.Axes {
		n := len(a.Values)
		stride /= n
		has := make([]bool, n)
		var values []string
		for _, i := range points {
			if k := i / stride % n; !has[k] {
				has[k] = true
			}
		}
		for k, is := range has {
			if is {
				values = append(values, short(plain(a.Values[k]), 60))
			}
		}
		product *= len(values)
		switch {
		case len(values) == n:
		case len(values) > 4:
			parts = append(parts, fmt.Sprintf("%d of the %d values of %s", len(values), n, a.Label))
		default:
			parts = append(parts, a.Label+"="+strings.Join(values, " or "))
		}
	}
	if product == len(points) {
		return "at " + strings.Join(parts, ", ")
	}
	first := "at point " + s.Points[slices.Min(points)].Name
	if len(points) > 1 {
		first += " and " + strconv.Itoa(len(points)-1) + " more"
	}
	return first
}

// short is text on one line of at most a number of bytes.
func short(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most-3], "") + "..."
	}
	return s
}
