package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// builder makes the stages of a study's points. What several points ask of it is done once.
type builder struct {
	catalog *catalog.Catalog
	// known are the stages so far, by their ids.
	known   map[string]*stage
	found   map[string]catalog.Component
	folders map[string]loadedFolder
}

// loadedFolder is a folder with weights that was looked at.
type loadedFolder struct {
	use use
	err error
}

// pointBuilder makes the stages of one point.
type pointBuilder struct {
	*builder
	exp    *experiment.Experiment
	stages []*stage
	task   *use
	// trials is the task with the trials that the data set is simulated from; nil where that is not known.
	trials  *use
	trained *use
	weights source
	// score is the task's judgement of the trained network; nil where there is none.
	score *source
	// dataset is nil where nothing is simulated or loaded.
	dataset *source
	fits    map[string]fitted
}

// fitted is a model that stands among the fits: one that was fitted to spikes, with what it inferred, or a network that was trained on the task.
type fitted struct {
	use     use
	weights source
	arrays  source
	// network is true of the latter; folder is then what it is loaded from.
	network bool
	folder  string
}

// point returns the stages of an experiment, each after those that it depends on.
func (b *builder) point(e *experiment.Experiment) ([]*stage, error) {
	p := pointBuilder{builder: b, exp: e, fits: map[string]fitted{}}
	if e.Task != nil {
		u, err := b.find(e.Task)
		if err != nil {
			return nil, err
		}
		p.task = &u
	}
	if e.Train != nil {
		if err := p.addTrain(e.Train); err != nil {
			return nil, err
		}
	}
	if e.Simulate != nil {
		if err := p.addSimulate(e.Simulate); err != nil {
			return nil, err
		}
	}
	for _, f := range e.Fit {
		if err := p.addFit(f); err != nil {
			return nil, err
		}
	}
	for _, c := range e.Compare {
		if err := p.addCompare(c); err != nil {
			return nil, err
		}
	}
	return p.stages, nil
}

func (b *builder) find(u *experiment.Use) (use, error) {
	ref := u.Ref.String()
	found, ok := b.found[ref]
	if !ok {
		var err error
		if found, err = b.catalog.Find(ref); err != nil {
			return use{}, err
		}
		b.found[ref] = found
	}
	return use{found: found, params: u.Params, seed: u.Seed}, nil
}

// loaded is the component that made a folder with weights, as its record says.
func (b *builder) loaded(folder string) (use, error) {
	l, ok := b.folders[folder]
	if !ok {
		l.use, l.err = loaded(b.catalog, folder)
		b.folders[folder] = l
	}
	return l.use, l.err
}

func loaded(c *catalog.Catalog, folder string) (use, error) {
	rec, err := artifact.ReadRecord(folder)
	if err != nil {
		return use{}, fmt.Errorf("%s: not the folder of a trained model: %w", folder, err)
	}
	found, err := maker(c, rec)
	if err != nil {
		return use{}, fmt.Errorf("%s: %w", folder, err)
	}
	params, problems := found.Params.Resolve(rec.Params)
	if len(problems) > 0 {
		return use{}, fmt.Errorf("%s: made with parameters that %s does not have now: %w", folder, rec.Component, &component.InvalidArgumentError{Problems: problems})
	}
	return use{found: found, params: params, seed: rec.Seed}, nil
}

// maker is the component that a record names: of the very version of the plugin that made it where that is there, else of another of its versions, else of any plugin.
func maker(c *catalog.Catalog, rec artifact.Record) (catalog.Component, error) {
	for _, ref := range []string{rec.Plugin + "@" + rec.PluginVersion + ":" + rec.Component, rec.Plugin + ":" + rec.Component} {
		found, err := c.Find(ref)
		var missing *catalog.NotFoundError
		if err == nil || rec.Plugin != "" && rec.PluginVersion != "" && !errors.As(err, &missing) {
			return found, err
		}
	}
	return c.Find(rec.Component)
}

// errNoTrials is of a network among the fits of an experiment whose data set was not simulated, and errNoDataset of a fit in one that has no data set.
var (
	errNoTrials  = errors.New("a network that was trained on a task is run over the trials that the data set is simulated from, and these are not known: simulate: {use: ...} is needed, or the data set of a run whose network is loaded; or no data set, and networks are observed on the trials of their task")
	errNoDataset = errors.New("it was fitted to spikes, and there is no data set that it could be compared on: add simulate: {dataset: FILE.h5}, the one that it was fitted to")
)

// isNetwork reports whether a folder holds a network that was trained on a task.
func isNetwork(folder string) bool {
	rec, err := artifact.ReadRecord(folder)
	return err == nil && rec.Stage == artifact.TrainStage
}

// add adds a stage to the point, or the one that another point has already if it does the same.
func (p *pointBuilder) add(s *stage) (*stage, error) {
	if err := s.identify(); err != nil {
		return nil, err
	}
	if same, ok := p.known[s.id]; ok {
		s = same
	} else {
		for _, name := range slices.Sorted(maps.Keys(s.files)) {
			if from := s.files[name].from; from != nil && !slices.Contains(s.needs, from) {
				s.needs = append(s.needs, from)
				s.depth = max(s.depth, from.depth+1)
			}
		}
		p.known[s.id] = s
	}
	p.stages = append(p.stages, s)
	return s, nil
}

func (p *pointBuilder) addTrain(t *experiment.Train) error {
	if t.Load != "" {
		u, err := p.loaded(t.Load)
		if err != nil {
			return err
		}
		p.trained, p.weights = &u, source{file: filepath.Join(t.Load, artifact.WeightsFile)}
		p.score = scoreOf(t.Load)
		return nil
	}
	u, err := p.find(t.Use)
	if err != nil {
		return err
	}
	files, err := begins("train", t.From, artifact.TrainStage)
	if err != nil {
		return err
	}
	train, err := p.add(&stage{
		local: artifact.TrainStage, kind: artifact.TrainStage,
		uses:  map[role]use{roleTask: *p.task, roleModel: u},
		files: files,
		body:  (*running).train,
	})
	p.trained, p.weights, p.score = &u, source{train, artifact.WeightsFile}, &source{train, artifact.ScoreFile}
	return err
}

func (p *pointBuilder) addSimulate(s *experiment.Simulate) error {
	if s.Dataset != "" {
		p.dataset = &source{file: s.Dataset}
		if p.task != nil {
			p.trials = simulatedFrom(p.exp, *p.task)
		}
		return nil
	}
	sim, err := p.find(s.Use)
	if err != nil {
		return err
	}
	trials := *p.task
	trials.seed, trials.overlay = s.Trials.Seed, s.Trials.Params
	if trials.overlay == nil {
		trials.overlay = param.Values{}
	}
	p.trials = &trials
	st, err := p.add(&stage{
		local: artifact.SimulateStage, kind: artifact.SimulateStage,
		uses:     map[role]use{roleTask: trials, roleModel: *p.trained, roleSimulator: sim},
		files:    map[string]source{"weights": p.weights},
		settings: map[string]any{"trials": s.Trials.Params},
		body:     (*running).simulate,
	})
	p.dataset = &source{st, artifact.DatasetFile}
	return err
}

func (p *pointBuilder) addFit(f experiment.Fit) error {
	if f.Load != "" {
		u, err := p.loaded(f.Load)
		if err != nil {
			return err
		}
		p.fits[f.Name] = fitted{use: u, weights: source{file: filepath.Join(f.Load, artifact.WeightsFile)}, arrays: source{file: filepath.Join(f.Load, artifact.InferredFile)},
			network: isNetwork(f.Load), folder: f.Load}
		return nil
	}
	u, err := p.find(f.Use)
	if err != nil {
		return err
	}
	local := artifact.FitStage + "/" + f.Name
	files, err := begins("fit."+f.Name, f.From, local)
	if err != nil {
		return err
	}
	files["dataset"] = *p.dataset
	st, err := p.add(&stage{
		local: local, kind: artifact.FitStage, label: f.Name,
		uses:  map[role]use{roleModel: u},
		files: files,
		body:  (*running).fit,
	})
	p.fits[f.Name] = fitted{use: u, weights: source{st, artifact.WeightsFile}, arrays: source{st, artifact.InferredFile}}
	return err
}

func (p *pointBuilder) addCompare(c experiment.Compare) error {
	u, err := p.find(c.Use)
	if err != nil {
		return err
	}
	st := &stage{
		local: artifact.CompareStage + "/" + c.Name, kind: artifact.CompareStage, label: c.Name,
		uses:          map[role]use{roleComparator: u},
		files:         map[string]source{},
		wantsDynamics: u.found.Can(component.NeedsDynamics) || u.found.Can(component.WantsDynamics),
		body:          (*running).compare,
	}
	if p.dataset != nil {
		st.files["dataset"] = *p.dataset
	}
	// Without a data set the trained network is compared by its dynamics and its score alone, or, with others, on the task's trials.
	truth := (p.dataset == nil || p.trials != nil) && p.trained != nil && slices.Contains(c.Subjects, experiment.Truth)
	network := func(label string) bool { return p.fits[label].network }
	st.ownTrials = p.dataset == nil && slices.ContainsFunc(c.Subjects, network)
	trials := p.trials
	if st.ownTrials {
		trials = p.task
	}
	if truth {
		p.addScore(st, experiment.Truth, p.score, p.exp.Train.Load)
	}
	if truth && (st.wantsDynamics || st.ownTrials || p.score == nil) {
		st.uses[roleTask], st.uses[roleTruth] = *p.task, *p.trained
		st.files[string(roleTruth)+"/weights"] = p.weights
	}
	for _, label := range c.Subjects {
		f, ok := p.fits[label]
		if !ok {
			continue // the truth
		}
		st.subjects = append(st.subjects, label)
		switch {
		case f.network && trials == nil:
			return fmt.Errorf("fit.%s: %w", label, errNoTrials)
		case f.network:
			st.networks = append(st.networks, label)
			st.uses[roleTrials] = *trials
			p.addScore(st, label, scoreOf(f.folder), f.folder)
		case p.dataset == nil:
			return fmt.Errorf("fit.%s: %w", label, errNoDataset)
		default:
			st.files[subjectInput(label, "inferred")] = f.arrays
		}
		if st.wantsDynamics || f.network {
			st.uses[subjectRole(label)] = f.use
			st.files[subjectInput(label, "weights")] = f.weights
		}
	}
	// The name is written into the results.
	st.settings = map[string]any{"name": c.Name, "subjects": st.subjects}
	if len(st.networks) > 0 {
		// Each network has noise of its own.
		st.settings["networks"], st.settings["trials"], st.settings["noise"] = st.networks, trials.overlay, "own"
	}
	_, err = p.add(st)
	return err
}

// scoreOf is the score in a trained network's folder; nil where it has none.
func scoreOf(folder string) *source {
	if file := filepath.Join(folder, artifact.ScoreFile); isFile(file) {
		return &source{file: file}
	}
	return nil
}

// addScore adds to a comparison what it knows a network's score from: the file, or, where there is none, the task with the trials that the network in the folder was trained with.
func (p *pointBuilder) addScore(st *stage, label string, score *source, folder string) {
	if score != nil {
		st.files[scoreInput(label)] = *score
		return
	}
	on := *p.task
	if rec, err := artifact.ReadRecord(folder); err == nil {
		if trained, known := rec.Keyed("task"); known {
			on.seed = trained.Seed
		}
	}
	st.uses[scoringRole(label)] = on
}
