package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ctdb-host/ctdb/host/experiment"
)

// identify gives the stage its id, which is known before anything has run: the hash of the parts of its key with, instead of the contents of its inputs, the ids of
// the stages that make them or the paths of the user's files. Stages of the same id would have the same key. The name in the experiment belongs to it, since
// it is the folder of the stage in a run.
func (s *stage) identify() error {
	inputs := make(map[string]string, len(s.files))
	for name, f := range s.files {
		if f.from == nil {
			inputs[name] = "file " + f.file
		} else {
			inputs[name] = f.from.id + " " + f.file
		}
	}
	b, err := json.Marshal(struct {
		Local string
		Parts KeyParts
	}{s.local, s.parts(inputs)})
	if err != nil {
		return fmt.Errorf("pipeline: %s: %w", s.local, err)
	}
	sum := sha256.Sum256(b)
	s.id = hex.EncodeToString(sum[:])
	return nil
}

// nameStages names the stages of a study: by their names in the experiment alone where there is one, else with the values of the axes along which they differ, in
// brackets, at the first point that has the stage. Names do not depend on which points of the study are run.
func nameStages(study *experiment.Study, points []*point) {
	byLocal := map[string][]*stage{} // of each point
	for i, p := range points {
		for _, s := range p.stages {
			if byLocal[s.local] == nil {
				byLocal[s.local] = make([]*stage, len(points))
			}
			byLocal[s.local][i] = s
		}
	}
	for local, stages := range byLocal {
		varied := variedAxes(study, stages)
		for i, s := range stages {
			if s == nil || s.name != "" {
				continue
			}
			s.name = local
			if len(varied) > 0 {
				s.name += " [" + Values(study, study.Points[i], varied) + "]"
			}
		}
	}
}

// variedAxes are the axes along which two points that differ in nothing else have different stages; none where all points have the same.
func variedAxes(study *experiment.Study, stages []*stage) []int {
	var out []int
	stride := len(stages)
	for k, a := range study.Axes {
		n := len(a.Values)
		stride /= n
		for i := range stages {
			first := i - i/stride%n*stride // the point that differs from i by having the axis's first value
			if stages[i] != nil && stages[first] != nil && stages[i] != stages[first] {
				out = append(out, k)
				break
			}
		}
	}
	return out
}

// longValue is the longest text of an axis's value in a name; longer ones are named by their place in the axis.
const longValue = 40

// Values is what a point has on some axes, or on all where they are nil: "seed=0 latent=8".
func Values(study *experiment.Study, p experiment.Point, axes []int) string {
	if axes == nil {
		for k := range study.Axes {
			axes = append(axes, k)
		}
	}
	parts := make([]string, len(axes))
	for i, k := range axes {
		a := study.Axes[k]
		parts[i] = a.Label + "=" + valueText(a, p.Values[a.Path])
	}
	return strings.Join(parts, " ")
}

// valueText is a value of an axis as text that no other value of it has.
func valueText(a experiment.Axis, v any) string {
	if s, ok := v.(string); ok && len(s) <= longValue && !json.Valid([]byte(s)) {
		return s // not a number or another value as text
	}
	b, err := json.Marshal(v)
	if err == nil && len(b) <= longValue {
		return string(b)
	}
	for i, other := range a.Values {
		if o, otherErr := json.Marshal(other); err == nil && otherErr == nil && string(o) == string(b) {
			return fmt.Sprintf("#%d", i+1)
		}
	}
	return fmt.Sprint(v)
}
