package dsa

import (
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// figures shows the matrix of angles as it is.
func (c *comparison) figures(angular *tensor.Tensor) []component.Figure {
	n := len(c.subjects)
	if n < 2 {
		return nil
	}
	known := false
	for i := range n {
		for j := range i {
			known = known || !math.IsNaN(angular.F64[i*n+j])
		}
	}
	if !known {
		return nil
	}
	var labels []string
	for _, s := range c.subjects {
		labels = append(labels, s.Label)
	}
	axis := component.Axis{Ticks: labels}
	return []component.Figure{{
		Name: "dsa", Title: "Distance between dynamics",
		Caption: fmt.Sprintf("Angle between the operators of each two subjects under the best rotation, on training trials: 0 where the dynamics are the same up to a rotation. %d delays, rank %d.", c.Delays, c.rank),
		Panels: []component.Panel{{X: axis, Y: axis, Equal: true, Marks: []component.Mark{{
			Kind: component.HeatMap, Rows: n, Cols: n, Z: angular.F64, ZLabel: "angle", ZUnit: "rad",
		}}}},
	}}
}

type (
	drivenPair struct{}
	sweep      struct{}
)
