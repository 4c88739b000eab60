package train

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Weights of another network are told with names, shapes and what was probably meant, and change nothing.
func TestInvalidWeights(t *testing.T) {
	p := nn.NewParams[float32](1)
	nn.GRU[float32](3).Declare(p, "cell", 2)
	p.Linear("readout", 3, 1)
	before := slices.Clone(p.Flat())
	w := p.Save()
	w[0].Name = "cell.weights_ih"
	w.Get("cell.bias_hh").Shape = []int{3, 3}
	w.Get("readout.weight").F32[1] = float32(math.NaN())
	i := slices.IndexFunc(w, func(t *tensor.Tensor) bool { return t.Name == "readout.bias" })
	w[i] = tensor.NewInt("readout.bias", 1)
	w = append(w, tensor.New32("optimiser", 7))
	var invalid *component.InvalidArgumentError
	if err := InvalidWeights(p.Load(w)); !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	want := []param.Problem{
		{Path: "weights", Message: "cell.weight_ih of shape [9 2] is missing"},
		{Path: "weights", Message: "cell.weights_ih of shape [9 2] is not known to this model", Hint: `did you mean "cell.weight_ih"?`},
		{Path: "weights", Message: "optimiser of shape [7] is not known to this model"},
		{Path: "weights", Message: "cell.bias_hh: shape [3 3], want [9]"},
		{Path: "weights", Message: `readout.weight: tensor: "readout.weight" is NaN at [0 1]: only finite values are allowed`},
		{Path: "weights", Message: "readout.bias: type int64, want float32 or float64"},
	}
	if !slices.Equal(invalid.Problems, want) {
		t.Errorf("problems %q, want %q", invalid.Problems, want)
	}
	if !slices.Equal(p.Flat(), before) {
		t.Error("the weights have changed")
	}
}
