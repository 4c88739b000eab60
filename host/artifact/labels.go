package artifact

import (
	"encoding/json"

	"github.com/ctdb-host/ctdb/sdk/task"
)

// Labels are what a task calls the channels of its arrays and its conditions, and what else a reader of its trials must know. They stand in the attributes of files that hold trials, so that these can be read
// without the task.
type Labels struct {
	// BinWidth in seconds; 0 where time has no unit.
	BinWidth float64  `json:"bin_width,omitempty"`
	Inputs   []string `json:"inputs,omitempty"`
	Outputs  []string `json:"outputs,omitempty"`
	// State are the channels of what is controlled in a closed loop.
	State []string `json:"state,omitempty"`
	Extra []string `json:"extra,omitempty"`
	// ExtraUnits are those of the columns Extra, as in task.Spec; empty in files of before they were kept.
	ExtraUnits []string `json:"extra_units,omitempty"`
	Conditions []string `json:"conditions,omitempty"`
	// HorizonEpochs is the largest of the terms of the loss: before that epoch the loss in training is over less than the trial. 0 where none has any.
	HorizonEpochs int `json:"horizon_epochs,omitempty"`
	// Neurons are the names of recorded ones.
	Neurons []string `json:"neurons,omitempty"`
}

const (
	labelsAttribute = "task_labels"
	// labelsMost is the longest text of them that an attribute takes, in bytes.
	labelsMost = 60000
)

// NewLabels are those of a task.
func NewLabels(s task.Spec) Labels {
	l := Labels{BinWidth: s.BinWidth, Inputs: s.InputLabels, Outputs: s.OutputLabels, Extra: s.Extra, ExtraUnits: s.ExtraUnits, Conditions: s.ConditionNames}
	if s.Loop != nil {
		l.State = s.Loop.StateLabels
	}
	for _, t := range s.Loss.Terms {
		l.HorizonEpochs = max(l.HorizonEpochs, t.HorizonEpochs)
	}
	return l
}

// Attributes has the labels as one attribute; none where they are more than an attribute takes.
func (l Labels) Attributes() Attributes {
	text, err := json.Marshal(l)
	if err != nil || len(text) > labelsMost {
		return Attributes{}
	}
	return Attributes{labelsAttribute: string(text)}
}

// Labels are those of the file's attributes; none where there are none.
func (a Attributes) Labels() Labels {
	var l Labels
	if json.Unmarshal([]byte(a.Text(labelsAttribute)), &l) != nil {
		return Labels{}
	}
	return l
}
