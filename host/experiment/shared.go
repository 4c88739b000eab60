package experiment

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxTold is how many problems are counted, those of a point for each point, before the other points are passed over.
const maxTold = 20000

// Shared tells the problems of points, given by Point.Index, each once. One that only some points have says in Problem.Point which these are.
func (s *Study) Shared(problems [][]Problem) []Problem {
	at, total := map[Problem][]int{}, s.size()
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
		if len(s.Axes) > 0 && p.Point == "" && len(at[p]) < min(len(problems), total) {
			order[k].Point = s.where(at[p], len(problems) >= total)
		}
	}
	return order
}

// size is the number of points of the product, also of those that were passed over.
func (s *Study) size() int {
	n := 1
	for _, a := range s.Axes {
		n *= len(a.Values)
	}
	return n
}

// where describes some of the points: by the values that they have in common, where all points were looked at, else by the first one's name.
func (s *Study) where(points []int, whole bool) string {
	product := 1
	var parts []string
	stride := s.size()
	for _, a := range s.Axes {
		n := len(a.Values)
		stride /= n
		has := map[int]bool{}
		for _, i := range points {
			has[i/stride%n] = true
		}
		product *= len(has)
		switch {
		case len(has) == n:
		case len(has) > 4:
			parts = append(parts, fmt.Sprintf("%d of the %d values of %s", len(has), n, a.Label))
		default:
			var values []string
			for _, k := range slices.Sorted(maps.Keys(has)) {
				values = append(values, short(plain(a.Values[k]), 60))
			}
			parts = append(parts, a.Label+"="+strings.Join(values, " or "))
		}
	}
	if whole && product == len(points) {
		return "at " + strings.Join(parts, ", ")
	}
	first := "at point " + s.Points[points[0]].Name
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
