// Command speed measures training steps beside the same steps in PyTorch, JAX and MotorNet, on this machine in the same minutes, and prints a table of ratios. `make bench` runs it.
//
// Ours are the kernels' steps, see package steptime, and trainings of the built-in models through the trainer, of which the time of an epoch is taken: of one batch, where a step is
// wanted. Those in closed loop train on the arm of task/random-target, which is in this process, or in another one that this program starts itself as. Peers are the scripts in testdata, or those of the same names and arguments in a folder that -peers or $CTDB_PEERS names; what a script there refuses (exit
// status 2) the own one measures. A round measures ours once, also with one thread, and each implementation of each peer once, in a process of its own, whose glibc is told to keep
// memory. What is reported is the median over rounds of a round's median, and the smallest time of all. Of the peers' implementations the fastest counts; those that take twice as long in the
// first round are left out after it, but for those that are written like the reference's own models, a call of a cell for each bin, where a goal is in terms of the reference.
// The goals, which the table has beside the ratios, are the project's own, for two threads.
// Memory is the most that a process ever had resident, of ours in one that takes three steps and nothing else. A measurement in which the processors were not had (too little time on processors for the number of threads, or time stolen by other virtual machines) is thrown away
// and taken again, a few times.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"
)

func main() {
	if servesBuiltin(os.Args[1:]) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	python, peers, filter, file string
	rounds, repeat, threads     int
	budget                      time.Duration
	// only is the row of which the memory is wanted, and self the program that is asked for it, this one.
	only, self string
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("speed", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&o.python, "python", "", "Python with torch, jax or motornet; without it no peers are measured")
	f.StringVar(&o.peers, "peers", os.Getenv("CTDB_PEERS"), "folder with peer_torch.py, peer_jax.py and peer_arm.py to use instead of the own ones")
	f.StringVar(&o.filter, "rows", "", "measure rows alone whose names have one of these texts in them, separated by commas")
	f.StringVar(&o.file, "json", "", "write the raw numbers into this file")
	f.IntVar(&o.rounds, "rounds", 3, "rounds, at least 1")
	f.IntVar(&o.repeat, "repeat", 7, "steps that are timed in a round, at least 1")
	f.IntVar(&o.threads, "threads", min(2, runtime.NumCPU()), "threads, at least 1")
	f.StringVar(&o.only, "memory", "", "take three steps of the row of that name and print the most memory that this took, in MB; the program asks itself for it")
	f.DurationVar(&o.budget, "time", 10*time.Second, "end a measurement of a round after this time, but not before three steps")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("no arguments are needed, got %q", f.Arg(0))
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds %d: at least 1 is needed", o.rounds)
	case o.repeat < 1:
		return o, fmt.Errorf("-repeat %d: at least 1 is needed", o.repeat)
	case o.threads < 1:
		return o, fmt.Errorf("-threads %d: at least 1 is needed", o.threads)
	case o.budget <= 0:
		return o, fmt.Errorf("-time %v: more than 0 is needed", o.budget)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(places(o.threads)))
	rows, err := publishedRows(o.threads)
	if err != nil {
		return err
	}
	if o.only != "" {
		return printMemory(ctx, rows, o.only, out)
	}
	if o.self, err = os.Executable(); err != nil {
		return err
	}
	var names []string
	wanted := rows[:0]
	for _, r := range rows {
		names = append(names, r.name)
		for text := range strings.SplitSeq(o.filter, ",") {
			if strings.Contains(r.name, text) {
				wanted = append(wanted, r)
				break
			}
		}
	}
	if len(wanted) == 0 {
		return fmt.Errorf("-rows %s: no row has that in its name; they are\n  %s", o.filter, strings.Join(names, "\n  "))
	}
	return measure(ctx, wanted, o, out, errs)
}

// measure measures rows and prints the table.
func measure(ctx context.Context, rows []row, o options, out, errs io.Writer) error {
	peers, err := findPeers(ctx, o, errs)
	if err != nil {
		return err
	}
	defer peers.close()
	var results []result
	for i, r := range rows {
		fmt.Fprintf(errs, "%d of %d: %s\n", i+1, len(rows), r.name)
		one, err := r.measure(ctx, o, peers, errs)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		results = append(results, one)
		fmt.Fprintf(errs, "  %s\n", one.line())
	}
	share(results)
	printTable(out, results, peers, o)
	if o.file == "" {
		return nil
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.file, append(data, '\n'), 0o666)
}
