package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed testdata/peer_torch.py testdata/peer_jax.py testdata/peer_arm.py
var scripts embed.FS

// sample is what one measurement gave.
type sample struct {
	Median float64 `json:"median_ms"`
	Min    float64 `json:"min_ms"`
	N      int     `json:"n"`
	CPU    struct {
		User  float64 `json:"user"`
		Sys   float64 `json:"sys"`
		Steal float64 `json:"steal"`
	} `json:"cpu_per_wall"`
	// Busy says that the processors were not had.
	Busy bool `json:"busy"`
	// Memory is the most that the process ever had resident, in MB; 0 where that is not known.
	Memory float64 `json:"peak_rss_mb,omitempty"`
}

// judge marks a measurement in which fewer processors were had than a share of the threads, or time was stolen. One without usage of processors is believed.
func (s *sample) judge(threads int, share float64) {
	had := s.CPU.User + s.CPU.Sys
	s.Busy = s.CPU.Steal > 0.05 || threads > 1 && had > 0 && had < share*float64(threads)
}

// The libraries that peers are written in.
const torch, jax, motornet = "torch", "jax", "motornet"

// peer is another library.
type peer struct {
	name string
	// choice says that a script can be told which implementations to measure.
	choice bool
	// only is the one of the times that a script prints which is a step's; all are where it is empty.
	only string
	// share of the time of its threads that they are busy where nothing else runs; XLA leaves threads idle part of the time, and most of what MotorNet computes in a bin is too small to be
	// shared out.
	share   float64
	script  string
	scripts []string // the first that knows a step measures it
	version string
}

// peers are those that there are.
type peers struct {
	python string
	folder string // of the own scripts
	all    []*peer
}

func (p *peers) close() {
	if p.folder != "" {
		// It is in the folder for temporary files: nothing is lost if it stays.
		_ = os.RemoveAll(p.folder)
	}
}

// findPeers looks for what the Python has.
func findPeers(ctx context.Context, o options, errs io.Writer) (*peers, error) {
	p := &peers{python: o.python}
	if o.python == "" {
		fmt.Fprintln(errs, "no Python is given: no peers")
		return p, nil
	}
	var err error
	if p.folder, err = os.MkdirTemp("", "ctdb-peers-"); err != nil {
		return nil, err
	}
	for _, one := range []*peer{
		{name: torch, script: "peer_torch.py", choice: true, share: 0.75}, {name: jax, script: "peer_jax.py", share: 0.6},
		{name: motornet, script: "peer_arm.py", only: "train", share: 0.4},
	} {
		if o.peers != "" {
			theirs := filepath.Join(o.peers, one.script)
			if _, err := os.Stat(theirs); err != nil {
				return nil, errors.Join(fmt.Errorf("-peers %s: %w", o.peers, err), os.RemoveAll(p.folder))
			}
			one.scripts = append(one.scripts, theirs)
		}
		text, err := scripts.ReadFile("testdata/" + one.script)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(p.folder))
		}
		own := filepath.Join(p.folder, one.script)
		if err := os.WriteFile(own, text, 0o600); err != nil {
			return nil, errors.Join(err, os.RemoveAll(p.folder))
		}
		one.scripts = append(one.scripts, own)
		if err := exec.CommandContext(ctx, o.python, "-c", "import "+one.name).Run(); err != nil {
			fmt.Fprintf(errs, "%s has no %s\n", o.python, one.name)
			continue
		}
		p.all = append(p.all, one)
	}
	return p, ctx.Err()
}

// launch measures a step with an implementation and returns what it took; of a peer without a choice with all, by their names.
func (p *peers) launch(ctx context.Context, one *peer, r row, o options, implementation string) (map[string]sample, error) {
	args := append([]string{}, r.peer...)
	args = append(args, "--tuned-malloc", "--reps", strconv.Itoa(o.repeat), "--budget", fmt.Sprint(o.budget.Seconds()))
	if one.choice {
		args = append(args, "--impl", implementation)
	}
	for i, script := range one.scripts {
		cmd := exec.CommandContext(ctx, p.python, append([]string{script}, args...)...)
		cmd.WaitDelay = 10 * time.Second
		var out, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &said
		err := cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 2 && i+1 < len(one.scripts) {
			continue
		}
		if err != nil {
			lines := strings.Split(strings.TrimSpace(said.String()), "\n")
			return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(script), strings.Join(args, " "), err, lines[len(lines)-1])
		}
		found, err := one.read(out.Bytes(), r.threads)
		// A script may measure more than it was asked for.
		maps.DeleteFunc(found, func(name string, _ sample) bool { return one.choice && name != implementation })
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("%s %s: no time of %s", filepath.Base(script), strings.Join(args, " "), implementation)
		}
		return found, err
	}
	return nil, fmt.Errorf("%s: no script", one.name)
}

// read takes the last line of a script's output apart.
func (p *peer) read(out []byte, threads int) (map[string]sample, error) {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(lines[len(lines)-1], &fields); err != nil {
		return nil, fmt.Errorf("%s: what it printed is no JSON: %w", p.name, err)
	}
	found := map[string]sample{}
	for name, text := range fields {
		var s sample
		if (p.only == "" || name == p.only) && json.Unmarshal(text, &s) == nil && s.Median > 0 {
			s.judge(threads, p.share)
			// That of a script that measures several is of the largest.
			if m, ok := fields["peak_rss_mb"]; ok && json.Unmarshal(m, &s.Memory) != nil {
				s.Memory = 0
			}
			found[name] = s
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no implementation gave a time: %s", p.name, lines[len(lines)-1])
	}
	if v := strings.Trim(string(fields["version"]), `"`); v != "" {
		p.version = v
	}
	return found, nil
}
