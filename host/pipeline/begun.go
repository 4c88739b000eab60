package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// inputFrom is the input of a stage that its training begins with.
const inputFrom = "from"

// beginning is the file with the weights that a training begins with, given the path that the experiment has for it: of a file itself, of a trained model's folder its
// weights, and of a run's folder those of the stage of this name. What is wrong is told without the path.
func beginning(path, stage string) (file string, wrong *param.Problem) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", &param.Problem{Message: cause(err)}
	case !info.IsDir():
		return path, nil
	}
	file = filepath.Join(path, artifact.WeightsFile)
	record, err := artifact.ReadRecord(path)
	switch {
	case err == nil && isFile(file):
		return file, nil
	case err == nil:
		return "", &param.Problem{Message: fmt.Sprintf("it holds what the stage %s made, and no %s", record.Stage, artifact.WeightsFile)}
	case !errors.Is(err, fs.ErrNotExist):
		return "", &param.Problem{Message: cause(err)}
	case isFile(file):
		return file, nil
	}
	run, err := artifact.OpenRun(path)
	if err != nil {
		return "", &param.Problem{Message: "it is neither a run's folder nor a trained model's: one of these or a safetensors file is needed"}
	}
	if _, study := run.Study(); study {
		return "", &param.Problem{Message: "it is a study's folder, which has a model for each of its points", Hint: fmt.Sprintf("name a point's, %s", filepath.Join(artifact.PointsDir, "POINT"))}
	}
	if st, ok := run.Stage(stage); ok && isFile(st.Path(artifact.WeightsFile)) {
		return st.Path(artifact.WeightsFile), nil
	}
	var trained []string
	for _, st := range run.Stages() {
		if isFile(st.Path(artifact.WeightsFile)) {
			trained = append(trained, filepath.FromSlash(st.Name))
		}
	}
	p := param.Problem{Message: fmt.Sprintf("the run has no model of the stage %s", stage)}
	if len(trained) > 0 {
		p.Hint = fmt.Sprintf("name a model's folder within it: there are %s", strings.Join(trained, ", "))
	}
	return "", &p
}

// begins are the files of a stage whose training begins with the weights that a path leads to; none where it is empty.
func begins(place, path, stage string) (map[string]source, error) {
	files := map[string]source{}
	if path == "" {
		return files, nil
	}
	file, wrong := beginning(path, stage)
	if wrong != nil {
		wrong.Path = place + "." + inputFrom
		wrong.Message = path + ": " + wrong.Message
		return nil, &component.InvalidArgumentError{Problems: []param.Problem{*wrong}}
	}
	files[inputFrom] = source{file: file}
	return files, nil
}

type beginKey struct {
	component, params, path, stage string
	target                         model.Target
}

// begin looks at the weights that a model's training begins with: whether they are there, and whether the model takes them as far as its target is known.
func (v *validation) begin(ctx context.Context, u *experiment.Use, path, stage string, target model.Target) ([]param.Problem, error) {
	if path == "" {
		return nil, nil
	}
	params, err := paramsText(u.Params)
	if err != nil {
		return nil, err
	}
	key := beginKey{u.Ref.String(), params, path, stage, target}
	if p, ok := v.begun[key]; ok {
		return p, nil
	}
	l := &loading{v: v, key: inputFrom, where: path}
	file, wrong := beginning(path, stage)
	if wrong != nil {
		l.wrong(wrong.Hint, "%s", wrong.Message)
		v.begun[key] = l.problems
		return l.problems, nil
	}
	found, err := v.host.Catalog.Find(u.Ref.String())
	if err != nil {
		return nil, err
	}
	l.where, l.use = file, use{found: found, params: u.Params, seed: u.Seed}
	of := l.readWeights(file)["component"]
	sound := len(l.problems) == 0
	if target != (model.Target{}) {
		if err := l.open(ctx, target, nil); err != nil {
			return nil, err
		}
	}
	if sound && len(l.problems) > 0 && of != "" && of != found.Name.String() {
		first := param.Problem{Path: inputFrom, Message: fmt.Sprintf("%s: these are weights of %s, and those of %s have other names or shapes", file, of, found.Name)}
		l.problems = append([]param.Problem{first}, l.problems...)
	}
	v.begun[key] = l.problems
	return l.problems, nil
}

// begin gives a model the weights that its training begins with, where there are any.
func (r *running) begin(ctx context.Context, m model.Model) error {
	if !r.has(inputFrom) {
		return nil
	}
	w, _, err := artifact.ReadWeights(r.path(inputFrom))
	if err != nil {
		return err
	}
	if err := m.Load(ctx, w); err != nil {
		return r.failed(roleModel, "loading "+r.path(inputFrom)+", which the training begins with", err)
	}
	return nil
}

// from is the file with the weights that the stage's training begins with; empty for none.
func (s *stage) from() string { return s.files[inputFrom].file }
