package train

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// TestCheckpointBytes shows that a training in two sessions, cut at every possible step, writes the very file of one in a single session.
func TestCheckpointBytes(t *testing.T) {
	for _, s := range []Schedule{{Kind: Constant}, {Kind: Cosine, Warmup: 1}, {Kind: Plateau, PlateauFactor: 0.5}} {
		t.Run(s.Kind, func(t *testing.T) {
			c := config()
			c.Epochs, c.Env.Dir, c.Schedule = 3, t.TempDir(), s.Rates(c.Optimiser.LR, 0, 3)
			if _, err := Fit(t.Context(), newStraight[float32](), source[float32](t), c, nil); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(c.Env.Dir, CheckpointFile))
			if err != nil {
				t.Fatal(err)
			}
			for cut := 1; cut < 15; cut++ {
				c.Env.Dir, c.CheckpointEvery = t.TempDir(), 1
				ctx, cancel := context.WithCancel(t.Context())
				_, err := Fit(ctx, newStraight[float32](), source[float32](t), c, &cutter{left: cut, cancel: cancel})
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("cut %d: %v", cut, err)
				}
				c.CheckpointEvery = 0
				if _, err = Fit(t.Context(), newStraight[float32](), source[float32](t), c, nil); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(filepath.Join(c.Env.Dir, CheckpointFile))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("cut %d: the checkpoint differs: %v", cut, err)
				}
			}
		})
	}
}

type cutter struct {
	component.Discard
	left   int
	cancel context.CancelFunc
}

func (c *cutter) Checkpoint(component.Checkpoint) {
	if c.left--; c.left == 0 {
		c.cancel()
	}
}

// TestUnusableCheckpoints: that of another training is an error; from a damaged one the training begins anew and ends with the bytes that it would have had.
func TestUnusableCheckpoints(t *testing.T) {
	c := config()
	c.Epochs, c.Env.Dir = 2, t.TempDir()
	if _, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.Env.Dir, CheckpointFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := c
	other.Identity = "another"
	if _, err := Fit(t.Context(), newStraight[float64](), source[float64](t), other, nil); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("another identity: %v", err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-20] ^= 1
	for name, b := range map[string][]byte{"truncated": good[:len(good)-9], "empty": nil, "garbage": bytes.Repeat([]byte{7}, 300), "a bit": flipped,
		"renamed": bytes.Replace(good, []byte("mean.line.bias"), []byte("mean.line.bios"), 1), "format": bytes.Replace(good, []byte(checkpointFormat), []byte("ctdb checkpoint 1"), 1)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		c.Env.Log = slog.New(slog.NewTextHandler(&log, nil))
		if _, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, good) {
			t.Errorf("%s: the checkpoint differs from that of a training that began anew: %v", name, err)
		}
		if !strings.Contains(log.String(), "damaged") {
			t.Errorf("%s: the log does not tell of it: %s", name, log.String())
		}
		if got := readFile(t, c.Env.Dir, DamagedFile); !bytes.Equal(got, b) {
			t.Errorf("%s: what was damaged is not set aside", name)
		}
	}
}

// A checkpoint that cannot be read may be whole: it is an error and stays. What a killed process was writing goes.
func TestUnreadableCheckpoint(t *testing.T) {
	c := config()
	c.Epochs, c.Env.Dir = 2, t.TempDir()
	path := filepath.Join(c.Env.Dir, CheckpointFile)
	if err := os.Mkdir(path, 0o700); err != nil { // reading one fails, and not for what is in it
		t.Fatal(err)
	}
	left := []string{".checkpoint.safetensors7318", ".best.safetensors55", ".diverged.json1"}
	others := []string{".checkpoint.safetensors7318.mine", "checkpoint.safetensors7", "notes"}
	for _, name := range slices.Concat(left, others) {
		if err := os.WriteFile(filepath.Join(c.Env.Dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil)
	if err == nil || errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove it to begin anew") || !exists(path) {
		t.Errorf("error is %v", err)
	}
	for i, name := range slices.Concat(left, others) {
		if exists(c.Env.Dir, name) != (i >= len(left)) {
			t.Errorf("%s is there, or not", name)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil); err != nil {
		t.Error(err)
	}
}
