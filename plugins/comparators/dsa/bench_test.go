//go:build unix

package dsa

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/distance"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The benchmarks do what peer_dsa.py, which runs the published implementation, does with its defaults: 3 trials of 500 bins of 64 dimensions, 20 delays, rank 50,
// angular; as the comparator does, they use the threads of -cpu. $CTDB_DSA_NPZ names recordings that it has saved (--save), for the very same numbers; otherwise
// they are drawn by the same recipe.
// Beside the mean they report the smallest time of all and the processor time, which hardly depend on what else the machine does:
//
//	python peer_dsa.py --threads 2 --save data.npz
//	CTDB_DSA_NPZ=data.npz go test -run '^$' -bench . -cpu 2 ./plugins/comparators/dsa
func recordings(b *testing.B, systems int) []*tensor.Tensor {
	if name := os.Getenv("CTDB_DSA_NPZ"); name != "" {
		out, err := readNPZ(name)
		if err != nil {
			b.Fatal(err)
		}
		if len(out) >= systems {
			return out[:systems]
		}
		b.Logf("%s has %d recordings, %d are drawn in their place", name, len(out), systems)
	}
	var out []*tensor.Tensor
	for s := range systems {
		out = append(out, modes(uint64(s), 3, 500, 64))
	}
	return out
}

// modes is a recording of four noisy rotating modes seen through tanh and a random readout.
func modes(seed uint64, trials, bins, width int) *tensor.Tensor {
	rng := random.New(seed, "dsa/bench")
	var c, s [4]float64
	for i := range c {
		w, g := 0.02+0.28*rng.Float64(), 0.95+0.045*rng.Float64()
		c[i], s[i] = g*math.Cos(w), g*math.Sin(w)
	}
	read := make([]float64, 8*width)
	for i := range read {
		read[i] = rng.NormFloat64() / math.Sqrt(8)
	}
	x := tensor.New32(comparator.Latents, trials, bins, width)
	for k := range trials {
		var z [8]float64
		for i := range z {
			z[i] = rng.NormFloat64()
		}
		for t := range bins {
			for i := range c {
				p, q := z[2*i], z[2*i+1]
				z[2*i], z[2*i+1] = c[i]*p-s[i]*q+0.3*rng.NormFloat64(), s[i]*p+c[i]*q+0.3*rng.NormFloat64()
			}
			for j := range width {
				sum := 0.0
				for i, v := range z {
					sum += v * read[i*width+j]
				}
				x.F32[(k*bins+t)*width+j] = float32(math.Tanh(sum) + 0.01*rng.NormFloat64())
			}
		}
	}
	return x
}

// shapeOf finds the shape in the header of a NumPy array of three axes.
var shapeOf = regexp.MustCompile(`'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+), (\d+)\)`)

// readNPZ reads arrays (trials, bins, dimensions) of float32 in the file's order.
func readNPZ(name string) (out []*tensor.Tensor, err error) {
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		var head [10]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, err
		}
		text := make([]byte, binary.LittleEndian.Uint16(head[8:]))
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		m := shapeOf.FindStringSubmatch(string(text))
		if m == nil {
			return nil, fmt.Errorf("%s: header %q", f.Name, text)
		}
		var shape [3]int
		for i := range shape {
			if shape[i], err = strconv.Atoi(m[i+1]); err != nil {
				return nil, err
			}
		}
		x := tensor.New32(comparator.Latents, shape[:]...)
		if err := binary.Read(r, binary.LittleEndian, x.F32); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// measure repeats f and reports the smallest time and the processor time of one.
func measure(b *testing.B, f func() error) {
	least := math.Inf(1)
	before := processor(b)
	for b.Loop() {
		from := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		least = min(least, time.Since(from).Seconds())
	}
	b.ReportMetric(1e3*least, "min-ms")
	b.ReportMetric(1e3*(processor(b)-before).Seconds()/float64(b.N), "cpu-ms")
}

func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func trialsOf(x *tensor.Tensor) []dmd.Trial {
	out := make([]dmd.Trial, x.Shape[0])
	n := x.Shape[1] * x.Shape[2]
	for k := range out {
		out[k] = dmd.Trial{Data: make([]float64, n), Width: x.Shape[2]}
		for i, v := range x.F32[k*n:][:n] {
			out[k].Data[i] = float64(v)
		}
	}
	return out
}

var published = dmd.Options{Delays: 20, Rank: dmd.Rank{Number: 50}, Ridge: 1e-8}

// BenchmarkOperators estimates the operators of two recordings: the peer's dmd_s.
func BenchmarkOperators(b *testing.B) {
	x := recordings(b, 2)
	measure(b, func() error {
		g, ctx := errgroup.WithContext(b.Context())
		g.SetLimit(runtime.GOMAXPROCS(0))
		for _, x := range x {
			g.Go(func() error {
				_, err := dmd.Fit(ctx, trialsOf(x), published)
				return err
			})
		}
		return g.Wait()
	})
}

// BenchmarkDistance prepares two operators and finds their distance: the peer's optimise_s.
func BenchmarkDistance(b *testing.B) {
	var a [2]*dmd.Model
	for i, x := range recordings(b, 2) {
		var err error
		if a[i], err = dmd.Fit(b.Context(), trialsOf(x), published); err != nil {
			b.Fatal(err)
		}
	}
	var r distance.Alignment
	measure(b, func() error {
		var o [2]*distance.Operator
		for i, m := range a {
			var err error
			if o[i], err = distance.NewOperator(m.A); err != nil {
				return err
			}
		}
		var err error
		r, err = distance.Align(b.Context(), o[0], o[1], distance.Options{Threads: runtime.GOMAXPROCS(0)})
		return err
	})
	b.ReportMetric(1e6*r.Angular, "urad")
}

// BenchmarkMatrix compares eight recordings, the component whole: the peer's total_s with --systems 8.
func BenchmarkMatrix(b *testing.B) {
	var req comparator.Request
	for i, x := range recordings(b, 8) {
		req.Subjects = append(req.Subjects, comparator.Subject{Label: strconv.Itoa(i), Role: comparator.Fitted, Train: tensor.Set{x}})
	}
	c := open(b, runtime.GOMAXPROCS(0), param.Values{"null": false, "split_half": false, "bootstrap": 0})
	measure(b, func() error {
		_, err := c.Compare(b.Context(), req, nil)
		return err
	})
}
