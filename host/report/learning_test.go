package report

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestLossesOfATraining renders trainings that were validated or not, on tasks with a curriculum or without: what the curves are, and which loss chose the weights, is said as it was.
func TestLossesOfATraining(t *testing.T) {
	const overfits, differs, throughout = "A validation loss that rises", "In epochs before 3 the training loss is over a part of the trial", "since they are before epoch 5, the training loss is over a part"
	for name, c := range map[string]struct {
		losses  []string
		horizon int
		want    string
	}{
		"validated":  {[]string{trainLoss, validLoss}, 0, "best validation loss|on validation trials strong|" + overfits},
		"curriculum": {[]string{trainLoss, validLoss}, 3, "best validation loss|on validation trials strong|" + differs + "|From epoch 3 on: a validation loss that rises"},
		"throughout": {[]string{trainLoss, validLoss}, 5, "best validation loss|on validation trials strong|" + throughout},
		"alone":      {[]string{trainLoss}, 0, "best training loss, without validation trials|none on validation trials was reported"},
		"other":      {[]string{"elbo"}, 0, "best loss|Learning curves are not shown: the training reported none"},
	} {
		s := newSynthetic(t)
		dir := s.stage(t, "train", "model/noisy-gru")
		m, err := artifact.CreateMetrics(dir)
		must(t, err)
		for e := range 5 {
			for _, loss := range c.losses {
				must(t, m.Write(component.Metric{Name: loss, Epoch: int64(e), Step: int64(e), Value: 1 / float64(e+1)}))
			}
		}
		must(t, m.Close())
		labels := artifact.NewLabels(task.Spec{Loss: task.Loss{Terms: []task.Term{{HorizonEpochs: c.horizon}}}})
		w, err := artifact.CreateArrays(filepath.Join(dir, artifact.RolloutFile), artifact.ArraysOptions{Trials: map[task.Split]int{task.Valid: 1}, Attributes: labels.Attributes()})
		must(t, err)
		must(t, w.Write(task.Valid, tensor.Block{Trials: numbered(1), Arrays: tensor.Set{tensor.New32(model.Outputs, 1, 4, 1)}}))
		must(t, w.Close())
		s.experiment(t, "version: 1\nname: losses\nseed: 0\ntrain: {use: model/noisy-gru}\n")
		s.sign(t, "")
		page := rendered(t, opened(t, s.dir))
		for _, part := range []string{"best validation loss", "best training loss, without validation trials", "best loss", "on validation trials strong", overfits, differs, throughout,
			"From epoch 3 on: a validation loss that rises", "none on validation trials was reported", "Learning curves are not shown: the training reported none"} {
			if want := strings.Contains("|"+c.want+"|", "|"+part+"|"); strings.Contains(page, part) != want {
				t.Errorf("%s: the page says %q: %t", name, part, !want)
			}
		}
	}
}
