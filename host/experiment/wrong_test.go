package experiment

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// head and tail make a whole file around the part that is wrong.
const (
	head  = "version: 1\n"
	train = "task: {use: task/nbff}\ntrain: {use: model/noisy-gru}\n"
	sim   = train + "simulate: {use: simulator/spikes}\n"
)

// Each case is a file, overrides, and every line of the error. The folder DIR has a file "file" and a folder "folder".
func TestWrongFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("DIR/folder", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("DIR/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wrong(t, wrongFiles())
}

// wrongFiles are single experiments.
func wrongFiles() []wrongCase {
	return []wrongCase{
		{"empty", "", nil, []string{
			"x.yaml: is empty: an experiment needs at least version and one of train, simulate, fit, compare",
		}},
		{"only comments", "# nothing\n", nil, []string{
			"x.yaml: is empty: an experiment needs at least version and one of train, simulate, fit, compare",
		}},
		{"a scalar", "hello\n", nil, []string{
			"x.yaml:1:1: \"hello\": a mapping is needed, with the keys version, name, about, seed, seeds, matrix, task, train, simulate, fit, compare",
		}},
		{"a list", "- 1\n- 2\n", nil, []string{
			"x.yaml:1:1: a list of 2: a mapping is needed, with the keys version, name, about, seed, seeds, matrix, task, train, simulate, fit, compare",
		}},
		{"unclosed bracket", "version: 1\ntask: {use: task/nbff\n", nil, []string{
			"x.yaml:2:7: is not YAML: could not find flow mapping end token '}'",
		}},
		{"unclosed quote", "version: 1\nname: 'x\n", nil, []string{
			"x.yaml:2:7: is not YAML: could not find end character of single-quoted text",
		}},
		{"bad indentation", "version: 1\ntask:\n  use: task/nbff\n params: {}\n", nil, []string{
			"x.yaml:4:2: is not YAML: value is not allowed in this context",
		}},
		{"tab", "version: 1\n\ttask: 1\n", nil, []string{
			"x.yaml:2:1: is not YAML: a tab cannot stand here: indent with spaces",
		}},
		{"about a number", head + train + "about: 3\n", nil, []string{
			"x.yaml:4:8: about: 3: a string is needed (write \"3\" in quotes)",
		}},
		{"key twice", head + train + "name: b\nseed: 1\nname: c\n", nil, []string{
			"x.yaml:6:1: name: is given twice, first at line 4",
		}},
		{"key twice within", head + "task: {use: task/nbff, use: task/nbff}\ntrain: {use: model/noisy-gru, params: {lr: 1, lr: 2}}\n", nil, []string{
			"x.yaml:2:24: task.use: is given twice, first at line 2",
			"x.yaml:3:47: train.params.lr: is given twice, first at line 3",
		}},
		{"anchors", "version: 1\na: &a [1]\nb: *a\n", nil, []string{
			"x.yaml:2:4: anchors and aliases are not allowed: write the value out",
			"x.yaml:3:4: anchors and aliases are not allowed: write the value out",
		}},
		{"merge key", "version: 1\ntask: {<<: {use: task/nbff}}\n", nil, []string{
			"x.yaml:2:8: merge keys are not allowed: write the values out",
		}},
		{"tag", "version: !!str 1\n", nil, []string{
			"x.yaml:1:10: tags such as !!str are not allowed",
		}},
		{"directive", "%YAML 1.2\n---\nversion: 1\n", nil, []string{
			"x.yaml:1:1: directives are not allowed",
		}},
		{"two documents", head + train + "---\nversion: 1\n", nil, []string{
			"x.yaml:5:1: a second document begins here: one experiment a file is allowed",
		}},
		{"control character", "version: 1\nname: \"a\x01\"\n", nil, []string{
			"x.yaml:2:9: the control character U+0001 is not allowed",
		}},
		{"NUL bytes", head + "name: \"a\x00\"\n", nil, []string{
			"x.yaml:2:9: the control character U+0000 is not allowed",
		}},
		{"UTF-16", "\xff\xfev\x00e\x00", nil, []string{
			"x.yaml: is UTF-16: text in UTF-8 is needed",
		}},
		{"byte order mark within", head + "name: \ufeffa\n", nil, []string{
			"x.yaml:2:7: the control character U+FEFF is not allowed",
		}},
		{"Latin-1", head + train + "name: caf\xe9\n", nil, []string{
			"x.yaml:4:10: the byte 0xE9 is no text in UTF-8",
		}},
		{"binary", head + "name: !!binary aGVsbG8=\n", nil, []string{
			"x.yaml:2:7: tags such as !!binary are not allowed",
		}},
		{"billion laughs", "a: &a [x, x]\nb: &b [*a, *a]\n", nil, []string{
			"x.yaml:1:4: anchors and aliases are not allowed: write the value out",
			"x.yaml:2:4: anchors and aliases are not allowed: write the value out",
			"x.yaml:2:8: anchors and aliases are not allowed: write the value out",
			"x.yaml:2:12: anchors and aliases are not allowed: write the value out",
		}},
		{"tab before a key", head + "task:\n\tuse: task/nbff\n", nil, []string{
			"x.yaml:3:1: is not YAML: a tab cannot stand here: indent with spaces",
		}},
		{"text too long", head + train + "name: |\n" + strings.Repeat("  aaaaaaaaaaaaaaa\n", 65), nil, []string{
			"x.yaml:4:7: name: a text of 1040 bytes: at most 1024 are allowed",
			"x.yaml:4:7: name: \"" + strings.Repeat(`aaaaaaaaaaaaaaa\n`, 5) + "...\" is not allowed: 1 to 64 letters, digits, hyphens and underscores are needed, the first a letter or digit",
		}},
		{"key too long", head + train + strings.Repeat("k", 257) + ": 1\n", nil, []string{
			"x.yaml:4:1: a key of 257 bytes: at most 256 are allowed",
		}},
		{"line too long", head + "name: " + strings.Repeat("a", maxLine) + "\n", nil, []string{
			"x.yaml:2:1: a line of 8199 bytes: at most 8192 are allowed",
		}},
		{"too large", head + strings.Repeat("#\n", maxBytes/2), nil, []string{
			"x.yaml: 262155 bytes: at most 262144 are allowed",
		}},
		{"too many keys", strings.Repeat("a:\n", maxKeys+1), nil, []string{
			"x.yaml:10001:2: more than 10000 keys",
		}},
		{"keys that are no names", head + train + "3: 4\n~: 5\n\"a b\": 6\n", nil, []string{
			"x.yaml:4:1: 3: no such key (keys are version, name, about, seed, seeds, matrix, task, train, simulate, fit, compare)",
			"x.yaml:5:1: ~: no such key (keys are version, name, about, seed, seeds, matrix, task, train, simulate, fit, compare)",
			"x.yaml:6:1: a b: no such key (keys are version, name, about, seed, seeds, matrix, task, train, simulate, fit, compare)",
		}},
		{"a key that is a list", head + train + "? [a]\n: 1\n", nil, []string{
			"x.yaml:5:1: is not YAML: found an invalid key for this map",
		}},
		{"reference too long", head + "task: {use: task/" + strings.Repeat("a", 300) + "}\ntrain: {use: model/noisy-gru}\n", nil, []string{
			"x.yaml:2:13: task.use: \"task/" + strings.Repeat("a", 75) + "...\": 305 bytes name no component",
		}},
		{"a long list of wrong values", head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, params: {sizes: [" + strings.Repeat("0, ", 1000) + "]}}\n", nil, []string{
			"x.yaml:3:47: train.params.sizes: [" + strings.Repeat("0 ", 60)[:119] + "... is not allowed: >= 1",
		}},
		{"not UTF-8", "version: 1\nname: é\xff\n", nil, []string{
			"x.yaml:2:8: the byte 0xFF is no text in UTF-8",
		}},
		{"version missing", train + "name: x\n", nil, []string{
			"x.yaml:1:1: version: is required: 1",
		}},
		{"version 2", train + "version: 2\n", nil, []string{
			"x.yaml:3:10: version: 2 is not allowed: 1",
		}},
		{"version as text", train + "version: one\n", nil, []string{
			"x.yaml:3:10: version: \"one\" is not allowed: 1",
		}},
		{"nothing to do", head, nil, []string{
			"x.yaml:1:1: nothing to do: one of train, simulate, fit, compare is needed",
		}},
		{"task alone", head + "task: {use: task/nbff}\n", nil, []string{
			"x.yaml:1:1: nothing to do: one of train, simulate, fit, compare is needed (a task alone makes nothing: add train)",
		}},
		{"unknown stage", head + train + "evaluate: {}\nsimulat: {}\nsede: [1]\n", nil, []string{
			"x.yaml:4:1: evaluate: no such key (keys are version, name, about, seed, seeds, matrix, task, train, simulate, fit, compare)",
			"x.yaml:5:1: simulat: no such key (did you mean \"simulate\"?)",
			"x.yaml:6:1: sede: no such key (did you mean \"seed\"?)",
		}},
		{"name escapes", head + train + "name: ../../etc\n", nil, []string{
			"x.yaml:4:7: name: \"../../etc\" is not allowed: 1 to 64 letters, digits, hyphens and underscores are needed, the first a letter or digit",
		}},
		{"name is a number", head + train + "name: 2026\n", nil, []string{
			"x.yaml:4:7: name: 2026: a string is needed (write \"2026\" in quotes)",
		}},
		{"name empty", head + train + "name: \"\"\n", nil, []string{
			"x.yaml:4:7: name: \"\" is not allowed: a string is needed",
		}},
		{"name without value", head + train + "name:\n", nil, []string{
			"x.yaml:4:1: name: a value is needed",
		}},
		{"name too long", head + train + "name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", nil, []string{
			"x.yaml:4:7: name: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" is not allowed: 1 to 64 letters, digits, hyphens and underscores are needed, the first a letter or digit",
		}},
		{"seed negative", head + train + "seed: -1\n", nil, []string{
			"x.yaml:4:7: seed: -1 is not allowed: 0..9223372036854775807",
		}},
		{"seed fraction", head + train + "seed: 1.5\n", nil, []string{
			"x.yaml:4:7: seed: 1.5: an integer 0..9223372036854775807 is needed",
		}},
		{"seed too large", head + train + "seed: 18446744073709551615\n", nil, []string{
			"x.yaml:4:7: seed: 18446744073709551615 is not allowed: 0..9223372036854775807",
		}},
		{"seed a list", head + train + "seed: [1, 2]\n", nil, []string{
			"x.yaml:4:7: seed: a list of 2: an integer 0..9223372036854775807 is needed",
		}},
		{"task is text", "version: 1\ntask: task/nbff\ntrain: {use: model/noisy-gru}\n", nil, []string{
			"x.yaml:2:7: task: \"task/nbff\": a mapping is needed, with the keys use, params, seed",
		}},
		{"task without use", head + "task: {params: {n_bits: 3}}\ntrain: {use: model/noisy-gru}\n", nil, []string{
			"x.yaml:2:7: task.use: is required: a task, e.g. task/nbff",
		}},
		{"use without kind", head + "task: {use: nbff}\ntrain: {use: model/noisy-gru}\n", nil, []string{
			"x.yaml:2:13: task.use: reference \"nbff\": kind/name or plugin@version:kind/name is needed, e.g. model/noisy-gru (did you mean \"task/nbff\"?)",
		}},
		{"use of another kind", head + "task: {use: model/noisy-gru}\ntrain: {use: task/nbff}\n", nil, []string{
			"x.yaml:2:13: task.use: \"model/noisy-gru\" is a model: a task is needed here",
			"x.yaml:3:14: train.use: \"task/nbff\" is a task: a model is needed here",
		}},
		{"use is no name", head + "task: {use: task/NBFF}\ntrain: {use: \"model/\"}\n", nil, []string{
			"x.yaml:2:13: task.use: reference \"task/NBFF\": 'N', 'B', 'F' cannot be in a component's name: lower-case letters, digits and hyphens are needed",
			"x.yaml:3:14: train.use: reference \"model/\": kind/name or plugin@version:kind/name is needed, e.g. model/noisy-gru",
		}},
		{"use with bad version", head + "task: {use: \"mine@latest:task/nbff\"}\ntrain: {use: \"My_Plugin:model/gru\"}\n", nil, []string{
			"x.yaml:2:13: task.use: reference \"mine@latest:task/nbff\": \"latest\" is no version or constraint such as 1.2.0 or ^1.2",
			"x.yaml:3:14: train.use: reference \"My_Plugin:model/gru\": \"My_Plugin\" cannot name a plugin: lower-case letters, digits and hyphens are needed",
		}},
		{"train without task", head + "train: {use: model/noisy-gru}\n", nil, []string{
			"x.yaml:2:1: train: a model is trained on a task, and there is none (add task: {use: ...})",
		}},
		{"use and load", head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, load: DIR/folder}\n", nil, []string{
			"x.yaml:3:31: train.load: use and load are both given: one of them is needed",
		}},
		{"neither use nor load", head + "task: {use: task/nbff}\ntrain: {params: {hidden: 3}}\n", nil, []string{
			"x.yaml:3:8: train: use or load is needed",
		}},
		{"load with params", head + "train: {load: DIR/folder, params: {hidden: 3}, seed: 1}\n", nil, []string{
			"x.yaml:2:27: train.params: is not allowed beside load",
			"x.yaml:2:48: train.seed: is not allowed beside load",
		}},
		{"begin with what is not there", head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, from: DIR/none}\nsimulate: {use: simulator/spikes}\nfit:\n  - {use: model/sae-gru, from: 3}\n  - {name: b, use: model/sae-gru, from: /dev/null}\n", nil, []string{
			"x.yaml:3:37: train.from: \"DIR/none\" does not exist: a run's folder, a trained model's or a safetensors file is needed",
			"x.yaml:6:32: fit.sae-gru.from: 3: a string is needed (write \"3\" in quotes)",
			"x.yaml:7:41: fit.b.from: \"/dev/null\" is not a regular file",
		}},
		{"load and begin", head + "train: {load: DIR/folder, from: DIR/folder}\n", nil, []string{
			"x.yaml:2:27: train.from: is not allowed beside load",
		}},
		{"load nothing", head + "train: {load: DIR/none}\nsimulate: {dataset: DIR/none.h5}\n", nil, []string{
			"x.yaml:2:15: train.load: \"DIR/none\" does not exist: a folder is needed",
			"x.yaml:3:21: simulate.dataset: \"DIR/none.h5\" does not exist: a file is needed",
		}},
		{"load a file", head + "train: {load: DIR/file}\nsimulate: {dataset: DIR/folder}\n", nil, []string{
			"x.yaml:2:15: train.load: \"DIR/file\" is not a folder",
			"x.yaml:3:21: simulate.dataset: \"DIR/folder\" is not a file",
		}},
		{"task unused", head + "task: {use: task/nbff}\nsimulate: {dataset: DIR/file}\n", nil, []string{
			"x.yaml:2:1: task: nothing uses the task (add train, or leave task out)",
		}},
		{"simulate without train", head + "simulate: {use: simulator/spikes}\n", nil, []string{
			"x.yaml:2:1: simulate: needs a task, for its trials, and there is none (or simulate: {dataset: FILE.h5})",
			"x.yaml:2:1: simulate: needs a trained network: train with use or load, and there is none (or simulate: {dataset: FILE.h5})",
		}},
		{"simulate both", head + train + "simulate: {use: simulator/spikes, dataset: DIR/file}\n", nil, []string{
			"x.yaml:4:35: simulate.dataset: use and dataset are both given: one of them is needed",
		}},
		{"simulate dataset with trials", head + "simulate: {dataset: DIR/file, task: {seed: 3}}\n", nil, []string{
			"x.yaml:2:31: simulate.task: is not allowed beside dataset",
		}},
		{"trials of another task", head + train + "simulate: {use: simulator/spikes, task: {use: task/nbff, seed: -1}}\n", nil, []string{
			"x.yaml:4:42: simulate.task.use: no such key (keys are params, seed)",
			"x.yaml:4:64: simulate.task.seed: -1 is not allowed: 0..9223372036854775807",
		}},
		{"trials not a mapping", head + train + "simulate: {use: simulator/spikes, task: 1000}\n", nil, []string{
			"x.yaml:4:41: simulate.task: 1000: a mapping is needed, with the keys params, seed",
		}},
		{"fit without spikes", head + train + "fit:\n  - use: model/sae-gru\n", nil, []string{
			"x.yaml:5:5: fit.sae-gru.use: a model is fitted to spikes, and there are none (add simulate: {use: ...} or simulate: {dataset: FILE.h5})",
		}},
		{"fit is a mapping", head + sim + "fit: {use: model/sae-gru}\n", nil, []string{
			"x.yaml:5:6: fit: a mapping: a list is needed (begin each entry under fit with a hyphen)",
		}},
		{"fit empty", head + sim + "fit: []\n", nil, []string{
			"x.yaml:5:6: fit: is an empty list (leave it out)",
		}},
		{"fit names twice", head + sim + "fit:\n  - use: model/sae-gru\n  - use: model/sae-gru\n  - {name: SAE-GRU, use: model/sae-gru}\n", nil, []string{
			"x.yaml:7:10: fit[1].use: the name \"sae-gru\" is taken by fit[0] (give it a name)",
			"x.yaml:8:12: fit[2].name: the name \"SAE-GRU\" is taken by fit[0]",
		}},
		{"fit name escapes", head + sim + "fit:\n  - {name: ../x, use: model/sae-gru}\n  - {name: .., use: model/sae-gru}\n", nil, []string{
			"x.yaml:6:12: fit[0].name: \"../x\" is not allowed as a name: 1 to 64 letters, digits, hyphens and underscores are needed, the first a letter or digit",
			"x.yaml:7:12: fit[1].name: \"..\" is not allowed as a name: 1 to 64 letters, digits, hyphens and underscores are needed, the first a letter or digit",
		}},
		{"fit named truth", head + sim + "fit:\n  - {name: truth, use: model/sae-gru}\n", nil, []string{
			"x.yaml:6:12: fit.truth.name: \"truth\" is not allowed as a name: it means the trained network or the data set",
		}},
		{"fit entry is text", head + sim + "fit:\n  - model/sae-gru\n", nil, []string{
			"x.yaml:6:5: fit[0]: \"model/sae-gru\": a mapping is needed, with the keys name, use, params, seed, from, load",
		}},
		{"fit entry is nothing", head + sim + "fit:\n  -\n", nil, []string{
			"x.yaml:6:5: fit[0]: nothing: a mapping is needed, with the keys name, use, params, seed, from, load",
		}},
		{"fit key misspelt", head + sim + "fit:\n  - {name: a, use: model/sae-gru, parms: {hidden: 1}}\n", nil, []string{
			"x.yaml:6:35: fit.a.parms: no such key (did you mean \"params\"?)",
		}},
		{"load name", head + sim + "fit:\n  - load: DIR/folder\n  - load: /\n", nil, []string{
			"x.yaml:7:11: fit[1].load: \"/\" is not allowed as a name: 1 to 64 letters, digits, hyphens and underscores are needed, the first a letter or digit (give it a name)",
		}},
		{"compare nothing", head + "compare:\n  - use: comparator/metrics\n", nil, []string{
			"x.yaml:2:1: compare: a data set is what is compared with, and there is none (add simulate: {use: ...} or simulate: {dataset: FILE.h5})",
		}},
		{"compare a fit without a data set", head + train + "fit:\n  - {name: a, use: model/sae-gru}\ncompare:\n  - use: comparator/metrics\n", nil, []string{
			"x.yaml:5:15: fit.a.use: a model is fitted to spikes, and there are none (add simulate: {use: ...} or simulate: {dataset: FILE.h5})",
			"x.yaml:6:1: compare: a data set is what is compared with, and there is none (add simulate: {use: ...} or simulate: {dataset: FILE.h5})",
		}},
		{"compare a network without its task", head + "train: {load: DIR/folder}\ncompare:\n  - use: comparator/metrics\n", nil, []string{
			"x.yaml:3:1: compare: trained networks are examined on their task, and there is none (add task: {use: ...})",
		}},
		{"compare without use", head + sim + "compare:\n  - subjects: [truth]\n", nil, []string{
			"x.yaml:6:5: compare[0].use: is required: a comparator, e.g. comparator/metrics",
		}},
		{"subjects unknown", head + sim + "fit:\n  - {name: gru-64, use: model/sae-gru}\ncompare:\n  - {use: comparator/metrics, subjects: [gru-46, truth, truth, 3, something-else]}\n", nil, []string{
			"x.yaml:8:42: compare.metrics.subjects[0]: \"gru-46\" is no subject of this experiment (did you mean \"gru-64\"?)",
			"x.yaml:8:57: compare.metrics.subjects[2]: \"truth\" is given twice",
			"x.yaml:8:64: compare.metrics.subjects[3]: 3: a name is needed",
			"x.yaml:8:67: compare.metrics.subjects[4]: \"something-else\" is no subject of this experiment (subjects are truth, gru-64)",
		}},
		{"subjects not a list", head + sim + "compare:\n  - {use: comparator/metrics, subjects: truth}\n", nil, []string{
			"x.yaml:6:41: compare.metrics.subjects: \"truth\": a list of names is needed (leave it out to compare everything)",
		}},
		{"params not a mapping", head + "task: {use: task/nbff, params: [1]}\ntrain: {use: model/noisy-gru, params: 3}\n", nil, []string{
			"x.yaml:2:32: task.params: a list of 1: a mapping from parameters to values is needed",
			"x.yaml:3:39: train.params: 3: a mapping from parameters to values is needed",
		}},
		{"parameter mapping, nothing, nested", head + "task: {use: task/nbff, params: {n_bits: {a: 1}, noise: }}\ntrain: {use: model/noisy-gru, params: {sizes: [[1]], 3 x: 1}}\n", nil, []string{
			"x.yaml:2:41: task.params.n_bits: a mapping is not allowed: a bool, a number, a string or a list of them is needed",
			"x.yaml:2:49: task.params.noise: a value is needed (leave the key out for the default)",
			"x.yaml:3:31: train.params: \"3 x\" cannot name a parameter",
			"x.yaml:3:47: train.params.sizes: element 0 is a list of 1: a bool, a number or a string is needed",
		}},
		{"parameter unknown", head + "task: {use: task/nbff, params: {n_bit: 3}}\ntrain: {use: model/noisy-gru, params: {zzzzzzzzz: 3}}\n", nil, []string{
			"x.yaml:2:33: task.params.n_bit: no such parameter (did you mean \"n_bits\"?)",
			"x.yaml:3:40: train.params.zzzzzzzzz: no such parameter (parameters are hidden, lr, link, sizes)",
		}},
		{"parameter ranges", head + "task: {use: task/nbff, params: {n_bits: 0, noise: .nan}}\ntrain:\n  use: model/noisy-gru\n  params:\n    hidden: 1e9\n    lr: 0\n    link: softpuls\n    sizes: [0]\n", nil, []string{
			"x.yaml:2:41: task.params.n_bits: 0 is not allowed: 1..16",
			"x.yaml:2:51: task.params.noise: NaN is not allowed: >= 0",
			"x.yaml:6:13: train.params.hidden: 1000000000 is not allowed: 1..4096",
			"x.yaml:7:9: train.params.lr: 0 is not allowed: > 0",
			"x.yaml:8:11: train.params.link: \"softpuls\" is not allowed: one of exp, softplus (did you mean \"softplus\"?)",
			"x.yaml:9:12: train.params.sizes: [0] is not allowed: >= 1",
		}},
		{"parameter types", head + "task: {use: task/nbff, params: {n_bits: three, noise: true}}\ntrain: {use: model/noisy-gru, params: {hidden: 1.5, sizes: 3, link: 4}}\n", nil, []string{
			"x.yaml:2:41: task.params.n_bits: \"three\": an int 1..16 (bit) is needed",
			"x.yaml:2:55: task.params.noise: true: a float >= 0 is needed",
			"x.yaml:3:48: train.params.hidden: 1.5: an int 1..4096 is needed",
			"x.yaml:3:60: train.params.sizes: 3: a list of int >= 1 is needed",
			"x.yaml:3:69: train.params.link: 4: a string one of exp, softplus is needed",
		}},
		{"parameter required", head + sim + "fit:\n  - {use: model/must}\n  - {name: b, use: model/must, params: {}}\n", nil, []string{
			"x.yaml:6:5: fit.must.params.weights: is required: a string (where the weights are)",
			"x.yaml:7:32: fit.b.params.weights: is required: a string (where the weights are)",
		}},
		{"component unknown", head + "task: {use: task/nbf}\ntrain: {use: model/noisy-gru}\n", nil, []string{
			"x.yaml:2:13: task.use: no such component: task/nbf",
		}},
		{"train on a fit's model", head + "task: {use: task/nbff}\ntrain: {use: model/sae-gru}\n", nil, []string{
			"x.yaml:3:14: train.use: model/sae-gru is not trained on a task: a model that is trains-on-task is needed here (`ctdb-host components model --can trains-on-task` lists them)",
		}},
		{"fit of a task's model", head + sim + "fit:\n  - use: model/noisy-gru\n", nil, []string{
			"x.yaml:6:10: fit.noisy-gru.use: model/noisy-gru is not fitted to spikes: a model that is trains-on-data is needed here (`ctdb-host components model --can trains-on-data` lists them)",
		}},
		{"closed loop", head + "task: {use: task/reach}\ntrain: {use: model/noisy-gru}\n", nil, []string{
			"x.yaml:3:14: train.use: model/noisy-gru cannot be trained in a closed loop, which task/reach is: a model that is trains-closed-loop is needed (`ctdb-host components model --can trains-closed-loop` lists them)",
		}},
		{"dynamics of none", head + "simulate: {dataset: DIR/file}\nfit:\n  - use: model/sae-gru\ncompare:\n  - use: comparator/fixedpoints\n", nil, []string{
			"x.yaml:6:10: compare.fixedpoints.use: comparator/fixedpoints examines a model's dynamics, and none of its subjects has any: truth, sae-gru",
		}},
		{"octal or not", "version: 1\nname: x\nseed: 010\ntask: {use: task/nbff, params: {n_bits: 08}}\ntrain: {use: model/noisy-gru, params: {lr: 00.5}}\n", []string{"seed=007"}, []string{
			"x.yaml:3:7: seed: 010 is not allowed, which is read in base ten or eight: write 10, 0o10 in base eight, or as text \"010\" in quotes",
			"x.yaml:4:41: task.params.n_bits: 08 is not allowed, which is read in base ten or eight: write 8, or as text \"08\" in quotes",
			"--set seed=007: seed: 007 is not allowed, which is read in base ten or eight: write 7, 0o7 in base eight, or as text \"007\" in quotes",
		}},
		{"deep", head + "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n", nil, []string{
			"x.yaml:2:20: is nested more than 16 deep",
		}},
		{"deep block", "- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - \n", nil, []string{
			"x.yaml:1:33: is nested more than 16 deep",
		}},
		{"set without value", head + train, []string{"seed", "=3", "seed= ", "fit.x"}, []string{
			"--set seed: PATH=VALUE is needed, e.g. fit.gru-64.params.latent=16",
			"--set =3: PATH=VALUE is needed, e.g. fit.gru-64.params.latent=16",
			"--set seed= : seed: a value is needed after the =",
			"--set fit.x: PATH=VALUE is needed, e.g. fit.gru-64.params.latent=16",
		}},
		{"set no YAML", head + train, []string{"seed=[1", "name={a", "task.params.n_bits=&a 1"}, []string{
			"--set seed=[1: seed: is not YAML: sequence end token ']' not found",
			"--set name={a: name: is not YAML: could not find flow map content",
			"--set task.params.n_bits=&a 1: task.params.n_bits: anchors and aliases are not allowed: write the value out",
		}},
		{"set a bad path", head + train, []string{"task..params=1", "task.params.n bits=1", "task.params.n_bits[0]=1", "seed.x=1", "fit.gru.params.hidden=1"}, []string{
			"--set task..params=1: task..params: \"\" is no name: names joined by dots are needed, e.g. fit.gru-64.params.latent",
			"--set task.params.n bits=1: task.params.n bits: \"n bits\" is no name: names joined by dots are needed, e.g. fit.gru-64.params.latent",
			"--set task.params.n_bits[0]=1: task.params.n_bits[0]: task.params.n_bits is not a list",
			"--set fit.gru.params.hidden=1: fit.gru.params.hidden: fit is empty: it has no gru",
			"--set seed.x=1: seed: a mapping: an integer 0..9223372036854775807 is needed",
		}},
		{"set an unknown element", head + sim + "fit:\n  - {name: gru-64, use: model/sae-gru}\n", []string{"fit.gru-46.params.hidden=1", "fit[3].params.hidden=1", "fit.qqqqqqqqqqqq.params=1"}, []string{
			"--set fit.gru-46.params.hidden=1: fit.gru-46.params.hidden: fit has no gru-46 (did you mean \"gru-64\"?)",
			"--set fit[3].params.hidden=1: fit[3].params.hidden: fit has 1 entries: there is no [3]",
			"--set fit.qqqqqqqqqqqq.params=1: fit.qqqqqqqqqqqq.params: fit has no qqqqqqqqqqqq (there are gru-64)",
		}},
		{"set bad values", head + sim + "fit:\n  - {name: gru-64, use: model/sae-gru}\n", []string{"fit.gru-64.params.hidden=0", "fit.gru-64.parms.hidden=1", "sed=3", "task.use=nbff", "train.params.lr=fast"}, []string{
			"--set sed=3: sed: no such key (did you mean \"seed\"?)",
			"--set fit.gru-64.parms.hidden=1: fit.gru-64.parms: no such key (did you mean \"params\"?)",
			"--set task.use=nbff: task.use: reference \"nbff\": kind/name or plugin@version:kind/name is needed, e.g. model/noisy-gru (did you mean \"task/nbff\"?)",
			"--set train.params.lr=fast: train.params.lr: \"fast\": a float > 0 is needed",
			"--set fit.gru-64.params.hidden=0: fit.gru-64.params.hidden: 0 is not allowed: 1..4096",
		}},
		{"trials with wrong parameters", head + train + "simulate: {use: simulator/spikes, task: {params: {n_bits: 0, n_bit: 2}}}\n", nil, []string{
			"x.yaml:4:59: simulate.task.params.n_bits: 0 is not allowed: 1..16",
			"x.yaml:4:62: simulate.task.params.n_bit: no such parameter (did you mean \"n_bits\"?)",
		}},
		{"all at once", "version: 2\nname: a b\nseed: x\ntask: {use: nbff, params: {n_bits: 3}, sed: 1}\ntrain: {use: model/noisy-gru}\nfit: 3\ncompare: {}\n", nil, []string{
			"x.yaml:1:10: version: 2 is not allowed: 1",
			"x.yaml:2:7: name: \"a b\" is not allowed: 1 to 64 letters, digits, hyphens and underscores are needed, the first a letter or digit",
			"x.yaml:3:7: seed: \"x\": an integer 0..9223372036854775807 is needed",
			"x.yaml:4:13: task.use: reference \"nbff\": kind/name or plugin@version:kind/name is needed, e.g. model/noisy-gru (did you mean \"task/nbff\"?)",
			"x.yaml:4:40: task.sed: no such key (did you mean \"seed\"?)",
			"x.yaml:6:6: fit: 3: a list is needed (begin each entry under fit with a hyphen)",
			"x.yaml:7:10: compare: a mapping: a list is needed (begin each entry under compare with a hyphen)",
		}},
	}
}

// wrongCase is a file, overrides, and every line of the error.
type wrongCase struct {
	name, file string
	set        []string
	want       []string
}

// wrong reads each file, and takes the working folder out of what is said.
func wrong(t *testing.T, cases []wrongCase) {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read("x.yaml", []byte(c.file), c.set, catalogue)
			var all *Error
			if !errors.As(err, &all) {
				t.Fatalf("error is %v, want an *Error", err)
			}
			got := strings.ReplaceAll(err.Error(), wd+string(filepath.Separator), "")
			if want := strings.Join(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
