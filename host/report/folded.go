package report

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// folded explains metrics, by the readings of theirs. Readings of variants of a metric stand with it, and what is said alike of one kind of variant of several metrics is said once, at the
// end; readings that differ in the number in the metric's name alone become one.
func folded(all []component.Reading) []pair {
	all = foldNumbers(all)
	// What is said of variants, by kind, and of which metrics.
	type kind struct{ suffix, said, source string }
	var kinds []kind
	of := map[kind][]string{}
	var out []pair
	for _, r := range all {
		root, suffix := variantOf(r.Metric)
		// What a variant is of must be there, and no variant itself: else the reading stands alone.
		_, again := variantOf(root)
		if suffix == "" || again != "" || !slices.ContainsFunc(all, func(o component.Reading) bool { return o.Metric == root }) {
			out = append(out, pair{r.Metric, explained(r)})
			continue
		}
		k := kind{suffix: suffix, said: strings.TrimPrefix(r.Text, root+" ")}
		if k.said == r.Text {
			// A sentence of its own, which has its source; else that of the metric holds.
			k.source = r.Source
		}
		if of[k] == nil {
			kinds = append(kinds, k)
		}
		of[k] = append(of[k], root)
	}
	for _, k := range kinds {
		text := explained(component.Reading{Text: k.said, Source: k.source})
		if roots := of[k]; len(roots) > 1 {
			out = append(out, pair{"…" + k.suffix, strings.Join(roots, ", ") + ", " + text})
			continue
		}
		i := slices.IndexFunc(out, func(p pair) bool { return p.Name == of[k][0] })
		out[i].Text += " " + k.suffix + ": " + text
	}
	return out
}

// variantOf parts the name of a variant into that of its metric and what makes it one; the latter is empty where it is none.
func variantOf(metric string) (root, suffix string) {
	stem, value, valued := strings.Cut(metric, "/")
	for _, s := range []string{"_insample", "_whitened"} {
		if of, ok := strings.CutSuffix(stem, s); ok && of != "" {
			if valued {
				of += "/" + value
			}
			return of, s
		}
	}
	return metric, ""
}

// numberIn finds the whole numbers of a metric's name.
var numberIn = regexp.MustCompile(`\d+`)

// foldNumbers makes one of readings whose names differ in one number alone, and their texts in this number as a word: k stands for it.
func foldNumbers(all []component.Reading) []component.Reading {
	var out []component.Reading
	for i := 0; i < len(all); i++ {
		name, number := anyNumber(all[i].Metric)
		n := i + 1
		for number != "" && n < len(all) && all[n].Source == all[i].Source {
			if other, _ := anyNumber(all[n].Metric); other != name {
				break
			}
			n++
		}
		if text, ok := alikeButForNumbers(all[i:n]); n > i+1 && ok {
			out = append(out, component.Reading{Metric: name, Text: text, Source: all[i].Source})
			i = n - 1
			continue
		}
		out = append(out, all[i])
	}
	return out
}

// anyNumber is a name with k in place of its one number, which is the second value; empty where it has none or several.
func anyNumber(name string) (with, number string) {
	at := numberIn.FindAllStringIndex(name, -1)
	if len(at) != 1 {
		return name, ""
	}
	return name[:at[0][0]] + "k" + name[at[0][1]:], name[at[0][0]:at[0][1]]
}

// alikeButForNumbers is the text of readings with k in place of the number in each one's name; ok is false where they differ in more.
func alikeButForNumbers(all []component.Reading) (text string, ok bool) {
	words := make([][]string, len(all))
	for i, r := range all {
		words[i] = strings.Split(r.Text, " ")
		if len(words[i]) != len(words[0]) {
			return "", false
		}
	}
	for w := range words[0] {
		same, own := true, true
		for i, r := range all {
			_, number := anyNumber(r.Metric)
			same, own = same && words[i][w] == words[0][w], own && words[i][w] == number
		}
		switch {
		case same:
		case own:
			words[0][w] = "k"
		default:
			return "", false
		}
	}
	return strings.Join(words[0], " "), true
}
