package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/store"
)

func (p Program) storeCommand() *cli.Command {
	return &cli.Command{
		Name: "store", Usage: "list, clean up and check the stored results", OnUsageError: onUsage,
		Description: "Every stage's result is kept in the store and used again where a run needs it. Runs hold links to it, or copies, and so keep\n" +
			"what they have whatever is removed from the store: it only has to be computed again when another run needs it.",
		Subcommands: []*cli.Command{p.storeLsCommand(), p.storeGCCommand(), p.storeVerifyCommand()},
	}
}

// storeOrders are what store ls sorts by: the name of the column, and which of two comes first.
func storeOrders() map[string]func(a, b store.Info) int {
	return map[string]func(a, b store.Info) int{
		"key":       func(a, b store.Info) int { return cmp.Compare(a.Key, b.Key) },
		"stage":     func(a, b store.Info) int { return cmp.Compare(a.Stage, b.Stage) },
		"component": func(a, b store.Info) int { return cmp.Compare(a.Component, b.Component) },
		"size":      func(a, b store.Info) int { return cmp.Compare(b.Bytes, a.Bytes) },
		"frees":     func(a, b store.Info) int { return cmp.Compare(b.Alone, a.Alone) },
		"made":      func(a, b store.Info) int { return b.Created.Compare(a.Created) },
		"used":      func(a, b store.Info) int { return b.Used.Compare(a.Used) },
	}
}

// pickFlags choose entries, for listing as for removing.
func pickFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "component", Usage: "of this component only: `COMPONENT`, e.g. model/sae-gru, sae-gru or 'sae-*'"},
		&cli.StringFlag{Name: "stage", Usage: "of this `train|simulate|fit|compare` only"},
		&cli.StringFlag{Name: "older", Usage: "not used for `DURATION`, e.g. 30d, 12h or 1d12h"},
		&cli.BoolFlag{Name: "unreferenced", Usage: "only what no run's folder holds, as far as is known"},
	}
}

// pick is the choice that the flags make; nil where they make none. All that are given must hold.
func pick(c *cli.Context) (func(store.Info) bool, error) {
	var all []func(store.Info) bool
	if want := c.String("component"); c.IsSet("component") {
		if _, err := path.Match(want, ""); err != nil {
			return nil, usagef("--component %q: %w", want, err)
		}
		all = append(all, func(i store.Info) bool {
			whole, _ := path.Match(want, i.Component)
			short, _ := path.Match(want, path.Base(i.Component))
			return whole || short
		})
	}
	if want := c.String("stage"); c.IsSet("stage") {
		stages := []string{artifact.TrainStage, artifact.SimulateStage, artifact.FitStage, artifact.CompareStage}
		if !slices.Contains(stages, want) {
			return nil, usagef("--stage %q: %s is needed%s", want, strings.Join(stages, ", "), nearest(want, stages))
		}
		all = append(all, func(i store.Info) bool { return i.Stage == want })
	}
	if c.IsSet("older") {
		age, err := parseAge(c.String("older"))
		if err != nil {
			return nil, usagef("--older %w", err)
		}
		before := time.Now().Add(-age)
		all = append(all, func(i store.Info) bool { return !i.Used.After(before) })
	}
	if c.Bool("unreferenced") {
		all = append(all, func(i store.Info) bool { return !i.Referenced() })
	}
	if len(all) == 0 {
		return nil, nil
	}
	return func(i store.Info) bool {
		return !slices.ContainsFunc(all, func(one func(store.Info) bool) bool { return !one(i) })
	}, nil
}

// parseAge reads a duration that may have days and weeks: 30d, 2w, 12h, 1d12h.
func parseAge(given string) (time.Duration, error) {
	wrong := fmt.Errorf("%q: a duration is needed, such as 30d, 2w, 12h or 1d12h", given)
	var out time.Duration
	rest := given
	for _, unit := range []struct {
		letter string
		is     time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !(n >= 0 && n < 1e5) {
			return 0, wrong
		}
		out, rest = out+time.Duration(n*float64(unit.is)), after
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 {
			return 0, wrong
		}
		out += d
	}
	if given == "" {
		return 0, wrong
	}
	return out, nil
}

// readStore opens the store to look at it.
func readStore(c *cli.Context) (*store.Store, error) {
	st, err := store.OpenReadOnly(storeDir(c))
	if err != nil {
		return nil, usageError{err}
	}
	return st, nil
}

func (p Program) storeLsCommand() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the stored results", OnUsageError: onUsage,
		Description: "What removing an entry frees is the size of its files that have no link elsewhere. A run is shown where the entry was linked or\n" +
			"copied to, if that is still there; \"linked\" means that some folder holds links to it, e.g. a run that was moved.",
		Flags: append(pickFlags(),
			&cli.StringFlag{Name: "sort", Value: "used", Usage: "order by `key|stage|component|size|frees|made|used`, the largest or newest first"},
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "show whole keys, and all runs"},
			jsonFlag(),
		),
		Action: p.storeLs,
	}
}

func (p Program) storeLs(c *cli.Context) error {
	if err := noArgs(c); err != nil {
		return err
	}
	order, ok := storeOrders()[c.String("sort")]
	if !ok {
		orders := []string{"key", "stage", "component", "size", "frees", "made", "used"}
		return usagef("--sort %q: %s is needed%s", c.String("sort"), strings.Join(orders, ", "), nearest(c.String("sort"), orders))
	}
	wanted, err := pick(c)
	if err != nil {
		return err
	}
	st, err := readStore(c)
	if err != nil {
		return err
	}
	entries, err := st.List(c.Context)
	if err != nil {
		return err
	}
	if wanted != nil {
		entries = slices.DeleteFunc(entries, func(i store.Info) bool { return !wanted(i) })
	}
	slices.SortStableFunc(entries, func(a, b store.Info) int { return cmp.Or(order(a, b), cmp.Compare(a.Key, b.Key)) })
	left, err := st.Leftovers(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.storeJSON(st, entries, left)
	}
	p.storeTable(st, entries, left, c.Bool("long"))
	return nil
}

func (p Program) storeTable(st *store.Store, entries []store.Info, left []store.Leftover, long bool) {
	var bytes, alone int64
	t := p.table("key", "stage", "component", "size", "frees", "made", "used", "runs")
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "size", Align: text.AlignRight}, {Name: "frees", Align: text.AlignRight}})
	for _, i := range entries {
		bytes, alone = bytes+i.Bytes, alone+i.Alone
		key, runs := shortKey(i.Key), runsOf(i)
		shown := strings.Join(runs, ", ")
		if long {
			key = i.Key
		} else if len(runs) > 1 {
			shown = fmt.Sprintf("%s and %d more", runs[0], len(runs)-1)
		}
		if i.Err != nil {
			shown = "damaged: " + i.Err.Error()
		} else if shown == "" && i.Linked {
			shown = "linked"
		}
		t.AppendRow(table.Row{key, i.Stage, i.Component, size(i.Bytes), size(i.Alone), humanize.Time(i.Created), humanize.Time(i.Used), shown})
	}
	if len(entries) > 0 {
		t.Render()
		fmt.Fprintln(p.Out)
	}
	fmt.Fprintf(p.Out, "%s in %s: %s, of which %s would be freed", counted(len(entries), "entry", "entries"), st.Dir(), size(bytes), size(alone))
	if free, err := st.Free(); err == nil && free > 0 {
		fmt.Fprintf(p.Out, "; %s free", size(free))
	}
	fmt.Fprintln(p.Out)
	for _, l := range left {
		fmt.Fprintf(p.Out, "%s  %s\n", shortKey(l.Key), leftover(l))
	}
}

// leftover says in words what something is that is no entry.
func leftover(l store.Leftover) string {
	switch {
	case l.Held:
		return fmt.Sprintf("is being made by %s (%s so far)", l.Holder, size(l.Bytes))
	case l.What == store.Scratch:
		return fmt.Sprintf("unfinished, with checkpoints that a run would go on from (%s, changed %s)", size(l.Bytes), humanize.Time(l.Changed))
	case l.What == store.DamagedEntry:
		return fmt.Sprintf("was damaged and moved to %s (%s)", l.Path, size(l.Bytes))
	}
	return fmt.Sprintf("unfinished, of no use (%s)", size(l.Bytes))
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// runsOf lists the runs that hold an entry: of a study, the study. Those below the working folder are shown from there.
func runsOf(i store.Info) []string {
	here, err := os.Getwd()
	if err != nil {
		here = "/"
	}
	var out []string
	for _, dir := range i.Folders {
		run := filepath.Dir(dir)
		if i.Stage == artifact.FitStage || i.Stage == artifact.CompareStage {
			run = filepath.Dir(run)
		}
		if filepath.Base(filepath.Dir(run)) == artifact.PointsDir {
			run = filepath.Dir(filepath.Dir(run))
		}
		if rel, err := filepath.Rel(here, run); err == nil && filepath.IsLocal(rel) {
			run = rel
		}
		if !slices.Contains(out, run) {
			out = append(out, run)
		}
	}
	return out
}

func (p Program) storeJSON(st *store.Store, entries []store.Info, left []store.Leftover) error {
	type entry struct {
		Key       string    `json:"key"`
		Dir       string    `json:"dir"`
		Stage     string    `json:"stage"`
		Component string    `json:"component"`
		Version   string    `json:"component_version"`
		Files     int       `json:"files"`
		Bytes     int64     `json:"bytes"`
		Frees     int64     `json:"frees_bytes"`
		Made      time.Time `json:"made"`
		Used      time.Time `json:"used"`
		Linked    bool      `json:"linked"`
		Folders   []string  `json:"folders"`
		Error     string    `json:"error,omitempty"`
	}
	type other struct {
		What    store.What    `json:"what"`
		Key     string        `json:"key"`
		Path    string        `json:"path"`
		Bytes   int64         `json:"bytes"`
		Changed time.Time     `json:"changed"`
		Holder  *store.Holder `json:"holder,omitempty"`
	}
	out := struct {
		Store     string  `json:"store"`
		FreeBytes int64   `json:"free_bytes"`
		Entries   []entry `json:"entries"`
		Others    []other `json:"others"`
	}{Store: st.Dir(), Entries: []entry{}, Others: []other{}}
	if free, err := st.Free(); err == nil {
		out.FreeBytes = free
	}
	for _, i := range entries {
		e := entry{i.Key, i.Dir, i.Stage, i.Component, i.ComponentVersion, i.Files, i.Bytes, i.Alone, i.Created.UTC(), i.Used.UTC(), i.Linked, append([]string{}, i.Folders...), ""}
		if i.Err != nil {
			e.Error = i.Err.Error()
		}
		out.Entries = append(out.Entries, e)
	}
	for _, l := range left {
		o := other{What: l.What, Key: l.Key, Path: l.Path, Bytes: l.Bytes, Changed: l.Changed.UTC()}
		if l.Held {
			o.Holder = &l.Holder
		}
		out.Others = append(out.Others, o)
	}
	return p.printJSON(out)
}

func noArgs(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s: no arguments are needed, got %q", c.Command.Name, c.Args().First())
	}
	return nil
}

func (p Program) storeVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "read every byte of the stored results and compare with their checksums", ArgsUsage: "[KEY...]", OnUsageError: onUsage,
		Description: "All entries, or those whose keys begin so. Exit status 1 where one is damaged. A run does the same with what it uses.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "repair", Usage: "move what is damaged aside, so that the next run computes it again"},
			jsonFlag(),
		},
		Action: p.storeVerify,
	}
}

// verified is what store verify says of an entry.
type verified struct {
	Key    string `json:"key"`
	Status string `json:"status"`
	// Changed and the others are the names of files.
	Changed []string `json:"changed,omitempty"`
	Missing []string `json:"missing,omitempty"`
	Extra   []string `json:"extra,omitempty"`
	Special []string `json:"special,omitempty"`
	Error   string   `json:"error,omitempty"`
	MovedTo string   `json:"moved_to,omitempty"`
}

func (p Program) storeVerify(c *cli.Context) error {
	open := readStore
	if c.Bool("repair") {
		open = openStore
	}
	st, err := open(c)
	if err != nil {
		return err
	}
	defer st.Close()
	keys, err := keysOf(st, c.Args().Slice())
	if err != nil {
		return err
	}
	list := []verified{}
	wrong := 0
	for _, key := range keys {
		v, ok := check(c, st, key)
		if err := c.Context.Err(); err != nil {
			return err
		}
		if !ok {
			wrong++
		}
		if v.Status != "" {
			list = append(list, v)
		}
	}
	if c.Bool("json") {
		if err := p.printJSON(map[string]any{"store": st.Dir(), "entries": list, "wrong": wrong}); err != nil {
			return err
		}
		if wrong > 0 {
			return errReported
		}
		return nil
	}
	screen := newScreen(p.Out)
	for _, v := range list {
		if v.Status == "ok" {
			continue
		}
		fmt.Fprintf(p.Out, "%s  %s\n", shortKey(v.Key), screen.status(v.Status+": "+v.Error))
		if v.MovedTo != "" {
			fmt.Fprintf(p.Out, "%s  moved to %s; the next run computes it again\n", shortKey(v.Key), v.MovedTo)
		}
	}
	if wrong == 0 {
		fmt.Fprintf(p.Out, "%s in %s: all as they were stored\n", counted(len(list), "entry", "entries"), st.Dir())
		return nil
	}
	advice := "; `ctdb-host store verify --repair` moves what is damaged aside, so that the next run computes it again"
	if c.Bool("repair") {
		advice = ""
	}
	return fmt.Errorf("%d of %s in %s are not as they were stored%s", wrong, counted(len(list), "entry", "entries"), st.Dir(), advice)
}

// check verifies one entry, and moves it aside where that is asked for. An entry that is gone meanwhile has no status.
func check(c *cli.Context, st *store.Store, key string) (verified, bool) {
	v := verified{Key: key, Status: "ok"}
	err := st.Verify(c.Context, key)
	if err == nil || errors.Is(err, fs.ErrNotExist) && !entryThere(st, key) {
		if err != nil {
			v.Status = ""
		}
		return v, true
	}
	v.Status, v.Error = "unreadable", err.Error()
	if store.Damaged(err) {
		v.Status = "damaged"
	}
	var differs *artifact.SumsError
	if errors.As(err, &differs) {
		v.Changed, v.Missing, v.Extra, v.Special = differs.Changed, differs.Missing, differs.Extra, differs.Special
	}
	if c.Bool("repair") && v.Status == "damaged" {
		var repairErr error
		if v.MovedTo, repairErr = st.Repair(c.Context, key); repairErr != nil {
			v.Error += "; " + repairErr.Error()
		}
	}
	return v, false
}

func entryThere(st *store.Store, key string) bool {
	keys, err := st.Keys()
	return err != nil || slices.Contains(keys, key)
}

// keysOf finds the entries whose keys begin with what was given; all where nothing was.
func keysOf(st *store.Store, given []string) ([]string, error) {
	all, err := st.Keys()
	if err != nil || len(given) == 0 {
		return all, err
	}
	var out []string
	for _, prefix := range given {
		found := slices.DeleteFunc(slices.Clone(all), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		if prefix == "" || len(found) == 0 {
			return nil, usagef("verify: no stored result has a key that begins with %q; `ctdb-host store ls` lists them", prefix)
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
