package experiment

import "testing"

func TestWrongStudies(t *testing.T) { wrong(t, wrongStudies()) }

// wrongStudies are files with seeds or a matrix.
func wrongStudies() []wrongCase {
	const fit = sim + "fit:\n  - {name: gru-64, use: model/sae-gru}\n"
	return []wrongCase{
		{"seed and seeds", head + train + "seed: 1\nseeds: [1, 2]\n", nil, []string{
			"x.yaml:5:1: seeds: seed and seeds are both given: one of them is needed",
		}},
		{"seeds of all kinds", head + train + "seeds: [1, 2, 1, 1.5, -1, x, ~, [1], 18446744073709551615, 2.0]\n", nil, []string{
			"x.yaml:4:15: seeds[2]: 1 is given twice, first at line 4, column 9",
			"x.yaml:4:18: seeds[3]: 1.5: an integer 0..9223372036854775807 is needed",
			"x.yaml:4:23: seeds[4]: -1: an integer 0..9223372036854775807 is needed",
			"x.yaml:4:27: seeds[5]: \"x\": an integer 0..9223372036854775807 is needed",
			"x.yaml:4:30: seeds[6]: an integer 0..9223372036854775807 is needed",
			"x.yaml:4:33: seeds[7]: a list of 1: an integer 0..9223372036854775807 is needed",
			"x.yaml:4:38: seeds[8]: 18446744073709551615: an integer 0..9223372036854775807 is needed",
			"x.yaml:4:60: seeds[9]: 2 is given twice, first at line 4, column 12",
		}},
		{"seeds empty", head + train + "seeds: []\n", nil, []string{
			"x.yaml:4:8: seeds: is an empty list: at least one value is needed (leave it out)",
		}},
		{"seeds a number", head + train + "seeds: 3\n", nil, []string{
			"x.yaml:4:8: seeds: 3: a list of values is needed (e.g. seeds: [0, 1, 2])",
		}},
		{"seeds without value", head + train + "seeds:\n", nil, []string{
			"x.yaml:4:1: seeds: a list of values is needed (e.g. seeds: [0, 1, 2])",
		}},
		{"matrix empty", head + train + "matrix: {}\n", nil, []string{
			"x.yaml:4:9: matrix: is empty: at least one path with a list of values is needed (leave it out)",
		}},
		{"matrix a list", head + train + "matrix: [train.params.lr]\n", nil, []string{
			"x.yaml:4:9: matrix: a list of 1: a mapping from paths to lists of values is needed (e.g. matrix: {fit.NAME.params.latent: [8, 16]})",
		}},
		{"matrix without value", head + train + "matrix:\n", nil, []string{
			"x.yaml:4:1: matrix: nothing: a mapping from paths to lists of values is needed (e.g. matrix: {fit.NAME.params.latent: [8, 16]})",
		}},
		{"other words", head + train + "sweep: {}\nparam_grid: 3\n", nil, []string{
			"x.yaml:4:1: sweep: no such key (what is varied stands under matrix, e.g. matrix: {fit.NAME.params.latent: [8, 16]}, and under seeds)",
			"x.yaml:5:1: param_grid: no such key (what is varied stands under matrix, e.g. matrix: {fit.NAME.params.latent: [8, 16]}, and under seeds)",
		}},
		{"paths that lead nowhere", head + fit + `matrix:
  fit.gru-46.params.hidden: [1, 2]
  trian.params.lr: [1e-3]
  fit.gru-64.parms.hidden: [1]
  fit[1].seed: [1]
  task.params.n_bits.x: [1]
  train.use.x: [model/noisy-gru]
  bogus: [1]
  a b: [1]
  fit..x: [1]
  fit.zzzzzzzzzzzzz.seed: [1]
  simulate.taks.sed: [1]
  train.params.3x: [1]
  task.load: [x]
`, nil, []string{
			"x.yaml:8:3: matrix.fit.gru-46.params.hidden: fit has no gru-46 (did you mean \"fit.gru-64.params.hidden\"?)",
			"x.yaml:9:3: matrix.trian.params.lr: there is no trian (did you mean \"train.params.lr\"?)",
			"x.yaml:10:3: matrix.fit.gru-64.parms.hidden: fit.gru-64 has no parms (did you mean \"fit.gru-64.params.hidden\"?)",
			"x.yaml:11:3: matrix.fit[1].seed: fit has 1 entries: there is no [1]",
			"x.yaml:12:3: matrix.task.params.n_bits.x: task.params.n_bits is one parameter: there is nothing in it by the name of x",
			"x.yaml:13:3: matrix.train.use.x: train.use is one value: there is nothing in it by the name of x",
			"x.yaml:14:3: matrix.bogus: there is no bogus (there are task, train, simulate, fit, compare)",
			"x.yaml:15:3: matrix.a b: \"a b\" is no name: names joined by dots are needed, e.g. fit.gru-64.params.latent",
			"x.yaml:16:3: matrix.fit..x: \"\" is no name: names joined by dots are needed, e.g. fit.gru-64.params.latent",
			"x.yaml:17:3: matrix.fit.zzzzzzzzzzzzz.seed: fit has no zzzzzzzzzzzzz (there are gru-64)",
			"x.yaml:18:3: matrix.simulate.taks.sed: simulate has no taks (did you mean \"simulate.task.seed\"?)",
			"x.yaml:19:3: matrix.train.params.3x: \"3x\" cannot name a parameter",
			"x.yaml:20:3: matrix.task.load: task has no load (there are use, params, seed)",
		}},
		{"stages that are not there", head + train + "matrix:\n  simulate.params.x: [1]\n  fit.gru.params.hidden: [1]\n  compare.x.seed: [1]\n  fit[0].seed: [1]\n", nil, []string{
			"x.yaml:5:3: matrix.simulate.params.x: simulate is not there (only what the experiment has can be varied: add simulate: {use: ...})",
			"x.yaml:6:3: matrix.fit.gru.params.hidden: fit is not there (only what the experiment has can be varied: add fit, or give mappings with use)",
			"x.yaml:7:3: matrix.compare.x.seed: compare is not there (only what the experiment has can be varied: add compare, or give mappings with use)",
			"x.yaml:8:3: matrix.fit[0].seed: fit is not there (only what the experiment has can be varied: add fit, or give mappings with use)",
		}},
		{"what cannot be varied", head + fit + `matrix:
  seed: [1]
  seeds: [[1]]
  version: [1]
  name: [a]
  matrix: [1]
  fit.gru-64.name: [a, b]
  fit[0].name: [c]
  fit.gru-64: [{name: b, use: model/sae-gru}]
`, nil, []string{
			"x.yaml:8:3: matrix.seed: seeds are varied beside matrix, not in it (write seeds: [0, 1, 2] at the top of the file)",
			"x.yaml:9:3: matrix.seeds: seeds are varied beside matrix, not in it (write seeds: [0, 1, 2] at the top of the file)",
			"x.yaml:10:3: matrix.version: version cannot be varied",
			"x.yaml:11:3: matrix.name: name cannot be varied",
			"x.yaml:12:3: matrix.matrix: matrix cannot be varied",
			"x.yaml:13:3: matrix.fit.gru-64.name: a name cannot be varied: comparisons and results go by it",
			"x.yaml:14:3: matrix.fit[0].name: a name cannot be varied: comparisons and results go by it",
			"x.yaml:15:16: matrix.fit.gru-64[0]: a name cannot be varied: comparisons and results go by it (leave the name out: it is gru-64)",
		}},
		{"paths that conflict", head + fit + `matrix:
  fit.gru-64.params: [{hidden: 8}, {hidden: 16}]
  fit.gru-64.params.hidden: [1, 2]
  fit[0].params: [{hidden: 3}]
  fit: [[{use: model/sae-gru}]]
  fit.gru-64.params: [{hidden: 3}]
`, nil, []string{
			"x.yaml:9:3: matrix.fit.gru-64.params.hidden: is a part of fit.gru-64.params, which is varied as a whole at line 8",
			"x.yaml:10:3: matrix.fit[0].params: is varied already, as fit.gru-64.params at line 8",
			"x.yaml:11:3: matrix.fit: a part of it is varied by itself: fit.gru-64.params at line 8",
			"x.yaml:12:3: matrix.fit.gru-64.params: is given twice, first at line 8",
		}},
		{"values of all kinds", head + fit + `matrix:
  fit.gru-64.params.hidden: [8, 16, 8, 16.0]
  train.params.lr: []
  train.params.hidden: 3
  train.seed: [~, .nan, -.inf]
  task.params: [{n_bits: ~}, {n_bits: 3, noise: 1}, {noise: 1.0, n_bits: 0x3}]
  train.params.sizes: [[1, 2], [1, ~]]
  simulate.params: {a: 1}
  task.seed:
`, nil, []string{
			"x.yaml:8:37: matrix.fit.gru-64.params.hidden[2]: 8 is given twice, first at line 8, column 30",
			"x.yaml:8:40: matrix.fit.gru-64.params.hidden[3]: 16 is given twice, first at line 8, column 33",
			"x.yaml:9:20: matrix.train.params.lr: is an empty list: at least one value is needed (leave it out)",
			"x.yaml:10:24: matrix.train.params.hidden: 3: a list of values is needed (e.g. train.params.hidden: [8, 16])",
			"x.yaml:11:16: matrix.train.seed[0]: a value is needed",
			"x.yaml:11:19: matrix.train.seed[1]: NaN is not allowed: a finite number is needed",
			"x.yaml:11:25: matrix.train.seed[2]: -Inf is not allowed: a finite number is needed",
			"x.yaml:12:17: matrix.task.params[0]: n_bits: a value is needed",
			"x.yaml:12:53: matrix.task.params[2]: a mapping is given twice, first at line 12, column 30",
			"x.yaml:13:32: matrix.train.params.sizes[1]: element 1: a value is needed",
			"x.yaml:14:20: matrix.simulate.params: a mapping: a list of values is needed (e.g. simulate.params: [8, 16])",
			"x.yaml:15:3: matrix.task.seed: a list of values is needed (e.g. task.seed: [8, 16])",
		}},
		{"values that are wrong at points, each once", head + fit + "seeds: [1,2,3]\nmatrix:\n  fit.gru-64.params.hidden: [0, 8, 9999, x]\n  train.params.hidde: [1, 2]\n  task.use: [task/nbff, task/nbf]\n", nil, []string{
			"x.yaml:9:30: fit.gru-64.params.hidden: 0 is not allowed: 1..4096, at hidden=0",
			"x.yaml:9:36: fit.gru-64.params.hidden: 9999 is not allowed: 1..4096, at hidden=9999",
			"x.yaml:9:42: fit.gru-64.params.hidden: \"x\": an int 1..4096 is needed, at hidden=x",
			"x.yaml:10:3: train.params.hidde: no such parameter (did you mean \"hidden\"?)",
			"x.yaml:11:25: task.use: no such component: task/nbf, at use=task/nbf",
		}},
		{"what a point makes wrong elsewhere", head + sim + "fit:\n  - {name: a, use: model/sae-gru, params: {lr: 1, hiden: 3}}\nmatrix:\n  fit.a.use: [model/sae-gru, model/must]\n  train.use: [model/noisy-gru, model/sae-gru]\n", nil, []string{
			"x.yaml:6:35: fit.a.params.weights: is required: a string, at a.use=model/must (where the weights are)",
			"x.yaml:6:44: fit.a.params.lr: no such parameter, at a.use=model/must (parameters are weights)",
			"x.yaml:6:51: fit.a.params.hiden: no such parameter, at a.use=model/sae-gru (did you mean \"hidden\"?)",
			"x.yaml:6:51: fit.a.params.hiden: no such parameter, at a.use=model/must (parameters are weights)",
			"x.yaml:9:32: train.use: model/sae-gru is not trained on a task: a model that is trains-on-task is needed here, at train.use=model/sae-gru (`ctdb-host components model --can trains-on-task` lists them)",
		}},
		{"points of some shapes", head + sim + "seeds: [1, 2, 3, 4, 5, 6]\nfit:\n  - {name: a, use: model/sae-gru}\nmatrix:\n  train: [{use: model/noisy-gru}, {use: model/noisy-gru, params: {lr: 1}}, {load: nowhere}, {load: nowhere2}]\ncompare:\n  - use: comparator/fixedpoints\n    params: {a: 1}\n", nil, []string{
			"x.yaml:9:83: train.load: \"nowhere\" does not exist: a folder is needed, at train={load: nowhere}",
			"x.yaml:9:100: train.load: \"nowhere2\" does not exist: a folder is needed, at train={load: nowhere2}",
			"x.yaml:12:17: compare.fixedpoints.params.a: no such parameter",
		}},
		{"one stage in two ways", head + train + "matrix: {train.load: [nowhere]}\n", nil, []string{
			"x.yaml:4:10: train.load: use and load are both given: one of them is needed",
		}},
		{"too many points", head + fit + "seeds: [\n" + numbers(200) + "]\nmatrix: {train.params.hidden: [\n" + numbers(101)[3:] + "]}\n", nil, []string{
			"x.yaml:209:1: matrix: 200 x 100 = 20000 points: at most 10000 are allowed",
		}},
		{"too many seeds", head + train + "seeds: [\n" + numbers(10001) + "]\n", nil, []string{
			"x.yaml:4:1: seeds: 10001 points: at most 10000 are allowed",
		}},
		{"points beyond counting", head + sim + "seeds: [\n" + numbers(1000) + "]\nmatrix:\n  task.seed: [\n" + numbers(1000) + "  ]\n  train.seed: [\n" + numbers(1000) + "  ]\n  simulate.seed: [\n" + numbers(1000) + "  ]\n  train.params.hidden: [\n" + numbers(1001)[3:] + "  ]\n", nil, []string{
			"x.yaml:1007:1: matrix: 1000 x 1000 x 1000 x 1000 x 1000 = more than 1000000000000 points: at most 10000 are allowed",
		}},
		{"too many paths", head + train + "matrix:\n" + axesOf(65), nil, []string{
			"x.yaml:4:1: matrix: 65 paths: at most 64 are allowed",
		}},
		{"set what the matrix varies", head + fit + "matrix:\n  fit.gru-64.params.hidden: [8, 16]\n  task.params: [{n_bits: 3}, {n_bits: 4}]\n", []string{
			"fit.gru-64.params.hidden=3", "fit[0].params.hidden=4", "fit.gru-64.params={hidden: 3}", "task.params.n_bits=4",
		}, []string{
			"--set fit.gru-64.params.hidden=3: fit.gru-64.params.hidden: is varied by the matrix: matrix.fit.gru-64.params.hidden (set matrix.fit.gru-64.params.hidden=[...] for other values, or matrix.fit.gru-64.params.hidden=null to vary it no more)",
			"--set fit[0].params.hidden=4: fit[0].params.hidden: is varied by the matrix: matrix.fit.gru-64.params.hidden (set matrix.fit.gru-64.params.hidden=[...] for other values, or matrix.fit.gru-64.params.hidden=null to vary it no more)",
			"--set task.params.n_bits=4: task.params.n_bits: is varied by the matrix: matrix.task.params (set matrix.task.params=[...] for other values, or matrix.task.params=null to vary it no more)",
		}},
		{"set an axis that is not there to nothing", head + fit + "matrix:\n  fit.gru-64.params.hidden: [8, 16]\n", []string{"matrix.fit.gru-46.params.hidden=null", "matrix.nonsense=null"}, []string{
			"--set matrix.fit.gru-46.params.hidden=null: matrix.fit.gru-46.params.hidden: the matrix does not vary fit.gru-46.params.hidden: it varies fit.gru-64.params.hidden (did you mean \"fit.gru-64.params.hidden\"?)",
			"--set matrix.nonsense=null: matrix.nonsense: the matrix does not vary nonsense: it varies fit.gru-64.params.hidden",
		}},
		{"set an axis of no matrix to nothing", head + train, []string{"matrix.train.params.lr=null"}, []string{
			"--set matrix.train.params.lr=null: matrix.train.params.lr: the matrix does not vary train.params.lr",
		}},
		{"set wrong axes", head + train, []string{"seeds=[0, 0]", "matrix.train.params.lr=[1e-3, 0]", "matrix.train.params.lrr=3", "matrix.=[1]", "matrix.task=[]"}, []string{
			"--set matrix.=[1]: matrix.: \"\" is no name: names joined by dots are needed, e.g. fit.gru-64.params.latent",
			"--set seeds=[0, 0]: seeds[1]: 0 is given twice, first in the same list",
			"--set matrix.train.params.lrr=3: matrix.train.params.lrr: 3: a list of values is needed (e.g. train.params.lrr: [8, 16])",
			"--set matrix.task=[]: matrix.task: is an empty list: at least one value is needed (leave it out)",
			"--set matrix.train.params.lr=[1e-3, 0]: train.params.lr: 0 is not allowed: > 0",
		}},
		{"everything at once", "version: 2\nseed: 1\nseeds: [1, 1]\ntask: {use: task/nbff, params: {n_bits: 99}}\ntrain: {use: model/noisy-gru}\nmatrix: {train.params.lr: [0, 1, x], tarin.seed: [1]}\n", []string{"bogus=1"}, []string{
			"x.yaml:1:10: version: 2 is not allowed: 1",
			"x.yaml:3:1: seeds: seed and seeds are both given: one of them is needed",
			"x.yaml:3:12: seeds[1]: 1 is given twice, first at line 3, column 9",
			"x.yaml:4:41: task.params.n_bits: 99 is not allowed: 1..16",
			"x.yaml:6:28: train.params.lr: 0 is not allowed: > 0",
			"x.yaml:6:34: train.params.lr: \"x\": a float > 0 is needed",
			"x.yaml:6:38: matrix.tarin.seed: there is no tarin (did you mean \"train.seed\"?)",
			"--set bogus=1: bogus: no such key (keys are version, name, about, seed, seeds, matrix, task, train, simulate, fit, compare)",
		}},
	}
}
