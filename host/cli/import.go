package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/recording"
)

func (p Program) importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "make a data set of a recording", ArgsUsage: "FILE", OnUsageError: onUsage,
		Description: "FILE is a NumPy archive (.npz) with spikes (trials, bins, neurons), or, for trials of unequal length, (bins of all trials, neurons) and lengths; or a table of text (commas, semicolons or tabs between) " +
			"with the columns neuron and time (s), and trial where times are on the trial's own clock.\n\n" +
			"An archive may hold besides: bin_width (s), neurons (their names, which --held-out takes), conds (the condition of each trial), and inputs, latents and rates (trials, bins, channels).\n\nWhat comes of it goes into an experiment as simulate: {dataset: FILE.h5}.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the data set to `FILE`", DefaultText: "the name of what is read, with .h5"},
			&cli.BoolFlag{Name: "force", Usage: "write over a file that is there"},
			&cli.Float64Flag{Name: "bin-width", Usage: "the width of a bin in `SECONDS`, e.g. 0.02; spikes of a table are counted in these", DefaultText: "the archive's"},
			&cli.StringFlag{Name: "held-out", Usage: "neurons that models predict and do not see: `NAMES` with commas between, or a fraction of all, e.g. 0.25", DefaultText: "none"},
			&cli.Float64Flag{Name: "valid", Value: 0.2, Usage: "the `FRACTION` of the trials that are for validation"},
			&cli.BoolFlag{Name: "in-order", Usage: "validate on the last trials instead of on some drawn by the seed"},
			&cli.Uint64Flag{Name: "seed", Usage: "draw held-out neurons and validation trials by `N`"},
			&cli.StringFlag{Name: "spikes", Value: "spikes", Usage: "the `ARRAY` of an archive that holds the counts"},
			&cli.StringFlag{Name: "trials", Usage: "`FILE` with the columns start and stop (s), of the trials of a table of spikes, and trial and condition where they have such"},
			&cli.Float64Flag{Name: "duration", Usage: "how many `SECONDS` a trial of a table lasts from its start", DefaultText: "until its stop"},
			&cli.StringFlag{Name: "milliseconds", Usage: "`COLUMNS` with commas between, of time, start and stop, whose times are in milliseconds", DefaultText: "all are in seconds"},
			&cli.StringSliceFlag{Name: "column", Usage: "a table's own name for a column, `COLUMN=NAME`, e.g. neuron=unit_id (may be repeated)"},
			jsonFlag(),
		},
		Action: p.importRecording,
	}
}

func (p Program) importRecording(c *cli.Context) error {
	in, err := oneArg(c, "a NumPy archive or a table of spikes")
	if err != nil {
		return err
	}
	switch info, err := os.Stat(in); {
	case err != nil:
		return usagef("import: %s: %w", in, pathless(err))
	case info.IsDir():
		return usagef("import: %s is a folder: a NumPy archive (.npz) or a table of spikes is needed", in)
	case strings.EqualFold(filepath.Ext(in), ".h5"):
		return usagef("import: %s is an HDF5 file by its name: a data set of this program goes into an experiment as it is, others can be saved as a NumPy archive (.npz)", in)
	}
	out := c.String("out")
	if out == "" {
		out = strings.TrimSuffix(in, filepath.Ext(in)) + ".h5"
	}
	for _, read := range []string{in, c.String("trials")} {
		if read != "" && sameFile(read, out) {
			return usagef("import: %s is what is read, and what is made would be written over it: give another name as --out", out)
		}
	}
	if err := writable(out, c.Bool("force")); err != nil {
		return err
	}
	if w := c.Float64("bin-width"); c.IsSet("bin-width") && !(w > 0 && w <= 3600) {
		return usagef("--bin-width %v: seconds above 0 and at most 3600 are needed, e.g. 0.02", w)
	}
	r, err := p.readRecording(c, in)
	if err != nil {
		return wrongRecording(err)
	}
	s, err := r.Write(c.Context, out, recording.Division{HeldOut: c.String("held-out"), Valid: c.Float64("valid"), InOrder: c.Bool("in-order"), Seed: c.Uint64("seed")})
	if err != nil {
		return wrongRecording(err)
	}
	if c.Bool("json") {
		return p.printJSON(s)
	}
	p.printImported(s)
	return nil
}

// writable checks that a file can come where it is to be written.
func writable(out string, force bool) error {
	info, err := os.Stat(out)
	switch {
	case err == nil && info.IsDir():
		return usagef("--out %s: it is a folder: the name of a file is needed, e.g. %s", out, filepath.Join(out, "FILE.h5"))
	case err == nil && !force:
		return usagef("--out %s: it is there: give another name, or --force to write over it", out)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return usagef("--out %s: %w", out, pathless(err))
	}
	dir := filepath.Dir(out)
	if info, err := os.Stat(dir); err != nil {
		return usagef("--out %s: there is no folder %s to write it into (%w)", out, dir, pathless(err))
	} else if !info.IsDir() {
		return usagef("--out %s: %s is a file, no folder", out, dir)
	}
	return nil
}

// pathless is an error without the path, and what was done with it, where the message names it already.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// readRecording reads the file by what it is.
func (p Program) readRecording(c *cli.Context, in string) (*recording.Recording, error) {
	columns := map[string]string{}
	for _, pair := range c.StringSlice("column") {
		column, name, ok := strings.Cut(pair, "=")
		if !ok || name == "" || column == "" {
			return nil, usagef("--column %s: COLUMN=NAME is needed, e.g. neuron=unit_id", pair)
		}
		columns[column] = name
	}
	if recording.Archive(in) {
		for _, flag := range []string{"trials", "duration", "column", "milliseconds"} {
			if c.IsSet(flag) {
				return nil, usagef("--%s is for tables of spikes, and %s is an archive", flag, in)
			}
		}
		return recording.ReadArchive(in, recording.ArchiveOptions{Spikes: c.String("spikes"), BinWidth: c.Float64("bin-width")})
	}
	if strings.EqualFold(filepath.Ext(in), ".npy") {
		return nil, usagef("%s is a single NumPy array: an archive is needed, as numpy.savez(\"FILE.npz\", spikes=...) makes it", in)
	}
	if c.IsSet("spikes") {
		return nil, usagef("--spikes is for archives, and %s is taken for a table: an archive's name ends with .npz", in)
	}
	if !c.IsSet("bin-width") {
		return nil, usagef("--bin-width is needed, the seconds in which the spikes of a table are counted, e.g. 0.02")
	}
	var milliseconds []string
	if c.IsSet("milliseconds") {
		milliseconds = strings.Split(c.String("milliseconds"), ",")
	}
	return recording.ReadTable(in, recording.TableOptions{BinWidth: c.Float64("bin-width"), Trials: c.String("trials"), Duration: c.Float64("duration"), Columns: columns, Milliseconds: milliseconds})
}

// wrongRecording is an error of the one who calls where the file, or what is to be made of it, is wrong.
func wrongRecording(err error) error {
	var wrong *recording.Error
	var path *fs.PathError
	switch {
	case errors.As(err, &wrong):
		return usageError{err}
	case errors.As(err, &path) && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)):
		return usagef("%s: %w", path.Path, path.Err)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		return usageError{err}
	}
	return err
}

func (p Program) printImported(s recording.Summary) {
	fmt.Fprintf(p.Out, "data set  %s\n", s.File)
	held := "none held out, so that co-bps cannot be told: see --held-out"
	if n := len(s.HeldOut); n > 0 {
		held = fmt.Sprintf("%d held in, %d held out (%s)", s.HeldIn, n, few(s.HeldOut))
	}
	fmt.Fprintf(p.Out, "neurons   %d: %s\n", s.Neurons, held)
	bins := fmt.Sprintf("%d", s.Bins)
	if s.Shortest < s.Bins {
		bins = fmt.Sprintf("%d to %d", s.Shortest, s.Bins)
	}
	width := "of unknown width"
	if s.BinWidth > 0 {
		width = fmt.Sprintf("of %s s", humanize.Ftoa(s.BinWidth))
	}
	fmt.Fprintf(p.Out, "trials    %d for training, %d for validation, of %s bins %s\n", s.TrainTrials, s.ValidTrials, bins, width)
	fmt.Fprintf(p.Out, "spikes    %s\n", humanize.Comma(s.Spikes))
	if len(s.Arrays) > 0 {
		fmt.Fprintf(p.Out, "besides   %s\n", strings.Join(s.Arrays, ", "))
	}
	if len(s.Silent) > 0 {
		fmt.Fprintf(p.Out, "silent    %d neurons without a spike: %s\n", len(s.Silent), few(s.Silent))
	}
	for _, n := range s.Notes {
		fmt.Fprintf(p.Out, "note      %s\n", n)
	}
}
