package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/store"
)

func (p Program) storeGCCommand() *cli.Command {
	return &cli.Command{
		Name: "gc", Usage: "remove stored results by age, size or use, and what dead hosts left", OnUsageError: onUsage,
		Description: "At least one criterion is needed; an entry is removed if all that are given hold of it. What a running host makes or uses stays,\n" +
			"whatever its age. Removed as well: halves of entries, entries that were moved aside because they were damaged, lock files of dead\n" +
			"hosts, temporary files. Checkpoints of unfinished work are kept for " + human(store.DefaultScratch) + ", since a run goes on from them.\n" +
			"Runs keep what they have. Their links keep it on the disk, too: removing what is linked frees nothing, and --max-size leaves it.",
		Flags: append(pickFlags(),
			&cli.StringFlag{Name: "max-size", Usage: "the longest unused first, until what only the store holds is at most `SIZE`, e.g. 20GB"},
			&cli.StringFlag{Name: "checkpoints", Usage: "remove checkpoints of unfinished work that did not change for `DURATION`", DefaultText: human(store.DefaultScratch)},
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "remove nothing, and say what would be"},
			jsonFlag(),
		),
		Action: p.storeGC,
	}
}

// gcRules reads the flags.
func gcRules(c *cli.Context) (store.Rules, error) {
	rules := store.Rules{DryRun: c.Bool("dry-run")}
	var err error
	if rules.Select, err = pick(c); err != nil {
		return rules, err
	}
	if c.IsSet("max-size") {
		n, err := bytesOf(c.String("max-size"))
		if err != nil || n == 0 {
			return rules, usagef("--max-size %q: a size above 0 with its unit is needed, e.g. 20GB or 500MiB; `--older 0s` removes everything", c.String("max-size"))
		}
		rules.MaxBytes = n
		if rules.Select == nil {
			rules.Select = func(store.Info) bool { return true }
		}
	}
	if c.IsSet("checkpoints") {
		age, err := parseAge(c.String("checkpoints"))
		if err != nil {
			return rules, usagef("--checkpoints %w", err)
		}
		rules.Scratch = cmp.Or(age, -1)
	} else if rules.Select == nil {
		return rules, usagef("gc: what is to be removed? At least one of --older, --max-size, --unreferenced, --component, --stage and --checkpoints is needed; --dry-run shows what would be")
	}
	return rules, nil
}

func (p Program) storeGC(c *cli.Context) error {
	if err := noArgs(c); err != nil {
		return err
	}
	rules, err := gcRules(c)
	if err != nil {
		return err
	}
	open := openStore
	if rules.DryRun {
		open = readStore
	}
	st, err := open(c)
	if err != nil {
		return err
	}
	defer st.Close()
	before, err := st.List(c.Context)
	if err != nil {
		return err
	}
	removed, gcErr := st.GC(c.Context, rules)
	var alone int64
	for _, i := range before {
		gone := slices.ContainsFunc(removed, func(r store.Removal) bool { return r.What == store.EntryKind && r.Key == i.Key && r.Kept == "" })
		if !gone {
			alone += i.Alone
		}
	}
	if c.Bool("json") {
		return errors.Join(p.gcJSON(st, rules, removed, alone), gcErr)
	}
	p.gcTable(st, rules, before, removed)
	if rules.MaxBytes > 0 && alone > rules.MaxBytes {
		fmt.Fprintf(p.Out, "what only the store holds is still %s, above %s: the rest is in use or was not chosen\n", size(alone), size(rules.MaxBytes))
	}
	return gcErr
}

func (p Program) gcTable(st *store.Store, rules store.Rules, before []store.Info, removed []store.Removal) {
	about := map[string]store.Info{}
	for _, i := range before {
		about[i.Key] = i
	}
	t := p.table("what", "key", "stage", "component", "size", "frees", "")
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "size", Align: text.AlignRight}, {Name: "frees", Align: text.AlignRight}})
	var entries, others, kept, rows int
	var bytes, freed int64
	for _, r := range removed {
		switch {
		case r.Kept != "":
			kept++
		case r.What == store.EntryKind:
			entries++
		default:
			others++
		}
		if r.Kept == "" {
			bytes, freed = bytes+r.Bytes, freed+r.Freed
		}
		if r.What == store.LockFile || r.What == store.UseRecord {
			continue // nobody wants to read of each
		}
		i, note := about[r.Key], ""
		switch {
		case r.Kept != "":
			note = "kept: " + r.Kept
		case r.What == store.EntryKind && i.Linked:
			note = "stays on the disk, linked from elsewhere"
		}
		if r.What != store.EntryKind {
			i = store.Info{}
		}
		rows++
		t.AppendRow(table.Row{r.What, shortKey(r.Key), i.Stage, i.Component, size(r.Bytes), size(r.Freed), note})
	}
	if rows > 0 {
		t.Render()
		fmt.Fprintln(p.Out)
	}
	did, frees := "removed", "freed"
	if rules.DryRun {
		did, frees = "would remove", "would be freed"
	}
	fmt.Fprintf(p.Out, "%s %s of %d in %s (%s)", did, counted(entries, "entry", "entries"), len(before), st.Dir(), size(bytes))
	if others > 0 {
		fmt.Fprintf(p.Out, " and %s", counted(others, "leftover", "leftovers"))
	}
	fmt.Fprintf(p.Out, "; %s %s\n", size(freed), frees)
	if freed < bytes {
		fmt.Fprintf(p.Out, "%s stay on the disk as long as runs link to them\n", size(bytes-freed))
	}
	if kept > 0 {
		fmt.Fprintf(p.Out, "kept %s that are in use\n", counted(kept, "entry", "entries"))
	}
}

func (p Program) gcJSON(st *store.Store, rules store.Rules, removed []store.Removal, alone int64) error {
	type row struct {
		What  store.What `json:"what"`
		Key   string     `json:"key,omitempty"`
		Path  string     `json:"path"`
		Bytes int64      `json:"bytes"`
		Freed int64      `json:"freed_bytes"`
		Kept  string     `json:"kept,omitempty"`
	}
	rows := []row{}
	for _, r := range removed {
		rows = append(rows, row{r.What, r.Key, r.Path, r.Bytes, r.Freed, r.Kept})
	}
	return p.printJSON(map[string]any{"store": st.Dir(), "dry_run": rules.DryRun, "removed": rows, "alone_bytes": alone})
}
