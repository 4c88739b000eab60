package store

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// aged makes it so that an entry was last used so long ago.
func aged(t *testing.T, s *Store, k string, ago time.Duration) {
	t.Helper()
	when := time.Now().Add(-ago)
	old(t, ago, s.usesPath(k), filepath.Join(s.entryDir(k), "SHA256SUMS"))
	if i := s.info(k); i.Used.Sub(when).Abs() > time.Minute {
		t.Fatalf("%s was used at %v, want %v", k, i.Used, when)
	}
}

func old(t *testing.T, ago time.Duration, paths ...string) {
	t.Helper()
	when := time.Now().Add(-ago)
	for _, path := range paths {
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
}

// removed lists what GC removed, by kind and a prefix of the key or the name of the file, sorted.
func removed(list []Removal, names map[string]string) []string {
	var out []string
	for _, r := range list {
		text := string(r.What) + " " + cmp.Or(names[r.Key], filepath.Base(r.Path))
		if r.Kept != "" {
			text = "kept " + text
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func TestGC(t *testing.T) {
	const day = 24 * time.Hour
	type entry struct {
		name string
		size int
		ago  time.Duration
		// link puts it into a run, copy too, but without links.
		link, copy bool
	}
	entries := []entry{{"a", 1000, 30 * day, false, false}, {"b", 2000, 20 * day, true, false}, {"c", 3000, 10 * day, false, true}, {"d", 4000, 0, false, false}}
	older := func(d time.Duration) func(Info) bool {
		return func(i Info) bool { return time.Since(i.Used) >= d }
	}
	all := func(Info) bool { return true }
	list := int64(len(strings.Repeat("0", 64) + "  data\n")) // of SHA256SUMS
	for name, c := range map[string]struct {
		rules Rules
		want  string
		freed int64
	}{
		"nothing":                 {Rules{}, "", 0},
		"everything":              {Rules{Select: all}, "a b c d", 8000 + 3*list},
		"by age":                  {Rules{Select: older(15 * day)}, "a b", 1000 + list},
		"older than any":          {Rules{Select: older(40 * day)}, "", 0},
		"unreferenced":            {Rules{Select: func(i Info) bool { return !i.Referenced() }}, "a d", 5000 + 2*list},
		"by size":                 {Rules{Select: all, MaxBytes: 5000}, "a c", 4000 + 2*list},
		"by size, nothing to do":  {Rules{Select: all, MaxBytes: 9000}, "", 0},
		"by size, of some":        {Rules{Select: func(i Info) bool { return !i.Referenced() }, MaxBytes: 4500}, "a d", 5000 + 2*list},
		"by size, less than is":   {Rules{Select: all, MaxBytes: 1}, "a c d", 8000 + 3*list},
		"by size and age":         {Rules{Select: older(15 * day), MaxBytes: 1}, "a", 1000 + list},
		"everything of one model": {Rules{Select: func(i Info) bool { return i.Component == "model/x" }}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			runs := t.TempDir()
			names := map[string]string{}
			for _, e := range entries {
				k := key(e.name)
				names[k] = e.name
				made := commit(t, s, k, map[string]string{"data": strings.Repeat("x", e.size)})
				into := filepath.Join(runs, e.name)
				switch {
				case e.link:
					if err := s.Link(made, into); err != nil {
						t.Fatal(err)
					}
				case e.copy:
					if err := os.CopyFS(into, os.DirFS(made.Dir)); err != nil {
						t.Fatal(err)
					}
					s.linked(k, into)
				}
				aged(t, s, k, e.ago)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, n := range strings.Fields(c.want) {
				want = append(want, "entry "+n)
			}
			before := tree(t, s.Dir())
			c.rules.DryRun = true
			dry, err := s.GC(t.Context(), c.rules)
			if got := removed(dry, names); err != nil || !slices.Equal(got, want) {
				t.Errorf("dry run: %v, want %v (%v)", got, want, err)
			}
			if after := tree(t, s.Dir()); !slices.Equal(after, before) {
				t.Errorf("a dry run changed the folder: %v, was %v", after, before)
			}
			c.rules.DryRun = false
			did, err := s.GC(t.Context(), c.rules)
			if got := removed(did, names); err != nil || !slices.Equal(got, want) {
				t.Errorf("removed %v, want %v (%v)", got, want, err)
			}
			var freed int64
			for _, r := range did {
				freed += r.Freed
			}
			if freed != c.freed {
				t.Errorf("freed %d, want %d", freed, c.freed)
			}
			keys, err := s.Keys()
			if err != nil || len(keys)+len(want) != len(entries) {
				t.Errorf("%d entries are left (%v)", len(keys), err)
			}
			for _, k := range keys {
				if slices.Contains(want, "entry "+names[k]) {
					t.Errorf("%s is still there", names[k])
				}
				if err := s.Verify(t.Context(), k); err != nil {
					t.Error(err)
				}
			}
			// Runs lose nothing, and what was removed can be made again.
			for _, e := range entries {
				if b, err := os.ReadFile(filepath.Join(runs, e.name, "data")); (e.link || e.copy) && (err != nil || len(b) != e.size) {
					t.Errorf("the run of %s has %d bytes (%v)", e.name, len(b), err)
				}
			}
			for _, n := range strings.Fields(c.want) {
				commit(t, s, key(n), map[string]string{"data": n})
			}
		})
	}
}

// What is being made, or used, by another process stays, also in a dry run; once the process is gone it goes.
func TestGCLeavesWhatIsInUse(t *testing.T) {
	all := Rules{Select: func(Info) bool { return true }, Scratch: -1}
	for _, c := range []struct {
		role, ready string
		there       bool
		want        []string
		after       []string
	}{
		{"use", "uses", true, []string{"kept entry a"}, []string{"entry a"}},
		{"begin", "began", false, nil, []string{"checkpoints a"}},
	} {
		s := newStore(t)
		names := map[string]string{key("a"): "a"}
		if c.there {
			commit(t, s, key("a"), map[string]string{"data": "x"})
		}
		h := startHost(t.Context(), t, c.role, s.Dir())
		h.says(t, c.ready)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, dry := range []bool{true, false} {
			all.DryRun = dry
			list, err := s.GC(t.Context(), all)
			if got := removed(list, names); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s, dry %v: %v, want %v (%v)", c.role, dry, got, c.want, err)
			}
		}
		if c.there && s.Verify(t.Context(), key("a")) != nil {
			t.Errorf("%s: the entry is gone", c.role)
		}
		if err := h.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = h.Wait() // it was killed
		list, err := s.GC(t.Context(), all)
		got := slices.DeleteFunc(removed(list, names), func(r string) bool { return strings.HasPrefix(r, "lock ") })
		if err != nil || !slices.Equal(got, c.after) {
			t.Errorf("%s, after its death: %v, want %v (%v)", c.role, got, c.after, err)
		}
		for _, sub := range []string{workDir, hostsDir, usesDir} {
			if left := files(t, filepath.Join(s.Dir(), sub)); len(left) > 0 {
				t.Errorf("%s: left in %s: %v", c.role, sub, left)
			}
		}
	}
}

// A store of this very process protects what it has looked up, until it is closed, from another of its stores.
func TestGCLeavesWhatThisProcessUses(t *testing.T) {
	s := newStore(t)
	e := commit(t, s, key("a"), map[string]string{"data": "x"})
	other := fresh(t, s)
	rules := Rules{Select: func(Info) bool { return true }}
	if list, err := other.GC(t.Context(), rules); err != nil || len(list) != 1 || !strings.Contains(list[0].Kept, fmt.Sprint(os.Getpid())) {
		t.Errorf("%+v (%v)", list, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if list, err := other.GC(t.Context(), rules); err != nil || len(list) != 1 || list[0].Kept != "" {
		t.Errorf("after it was closed: %+v (%v)", list, err)
	}
	// The first store finds out.
	if _, ok, err := s.Lookup(t.Context(), e.Key); ok || err != nil {
		t.Errorf("lookup: %v, %v", ok, err)
	}
}

// What dead hosts left goes: at once what nobody can use, checkpoints when they are old.
func TestLeftovers(t *testing.T) {
	s := newStore(t)
	dead, young, stale, gone, done := key("dead"), key("young"), key("stale"), key("gone"), key("done")
	names := map[string]string{dead: "dead", young: "young", stale: "stale", gone: "gone", done: "done"}
	commit(t, s, done, map[string]string{"data": "x"})
	torn := commit(t, s, key("torn"), map[string]string{"data": "x"})
	names[torn.Key] = "torn"
	if err := os.Remove(torn.Path("data")); err != nil {
		t.Fatal(err)
	}
	finder := fresh(t, s)
	if _, ok, err := finder.Lookup(t.Context(), torn.Key); ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := finder.Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, s.Dir(), map[string]string{
		"work/" + dead + "/entry/half": "x", "work/" + gone + "/gone/data": "x", "work/" + done + "/scratch/checkpoint": "x",
		"work/" + young + "/scratch/checkpoint": "12345", "work/" + young + "/entry/half": "x", "work/" + stale + "/scratch/sub/checkpoint": "12345",
		"locks/" + dead: "", "hosts/node-1-abc": dead + "\n", "uses/" + gone: "",
		".layout123456789": "x", "last/study/.train.json123456789": "x", "last/study/train.json": "{}", "work/notes.txt": "mine", "damaged/notes.txt": "mine",
	})
	old(t, 2*time.Hour, filepath.Join(s.Dir(), ".layout123456789"), filepath.Join(s.Dir(), "last/study/.train.json123456789"))
	for _, path := range []string{"scratch/sub/checkpoint", "scratch/sub", "scratch", "."} {
		old(t, 20*24*time.Hour, filepath.Join(s.workRoot(stale), path))
	}
	left, err := s.Leftovers(t.Context())
	if err != nil || len(left) != 6 {
		t.Errorf("%d left (%v): %+v", len(left), err, left)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = fresh(t, s) // sweeps
	for path, want := range map[string]bool{
		"work/" + dead: false, "work/" + gone: false, "work/" + done: false, "work/" + young + "/entry": false, "work/" + young + "/scratch/checkpoint": true,
		"work/" + stale + "/scratch/sub/checkpoint": true, "hosts/node-1-abc": false, ".layout123456789": false, "last/study/.train.json123456789": false,
		"last/study/train.json": true, "damaged/" + torn.Key + "-1": true, "work/notes.txt": true,
	} {
		if got := exists(filepath.Join(s.Dir(), path)); got != want {
			t.Errorf("after opening, %s is there: %v, want %v", path, got, want)
		}
	}
	var did [2][]string
	for i, dry := range []bool{true, false} {
		list, err := s.GC(t.Context(), Rules{DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		did[i] = removed(list, names)
	}
	want := []string{"checkpoints stale", "damaged torn", "use record gone", "use record torn"}
	if !slices.Equal(did[0], want) || !slices.Equal(did[1], want) {
		t.Errorf("removed %v, a dry run said %v, want %v", did[1], did[0], want)
	}
	for path, want := range map[string]bool{
		"work/" + young + "/scratch/checkpoint": true, "work/" + stale: false, "work/notes.txt": true, "damaged/notes.txt": true, "damaged/" + torn.Key + "-1": false,
		"locks/" + dead: false,
	} {
		if got := exists(filepath.Join(s.Dir(), path)); got != want {
			t.Errorf("after gc, %s is there: %v, want %v", path, got, want)
		}
	}
	list, err := s.GC(t.Context(), Rules{Scratch: -1})
	if got := removed(list, names); err != nil || !slices.Equal(got, []string{"checkpoints young"}) || list[0].Freed != 5 {
		t.Errorf("checkpoints of any age: %v, %+v (%v)", got, list, err)
	}
}

func TestList(t *testing.T) {
	s := newStore(t)
	a := commit(t, s, key("a"), map[string]string{"data": "12345", "sub/more": "678"})
	aged(t, s, a.Key, 48*time.Hour)
	dir := t.TempDir()
	for _, into := range []string{"r1", "r2", "gone"} {
		if err := s.Link(a, filepath.Join(dir, into)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	fill(t, s.Dir(), map[string]string{"ff/" + strings.Repeat("f", 64) + "/data": "torn"})
	list, err := s.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v (%v)", list, err)
	}
	slices.SortFunc(list, func(x, y Info) int { return cmp.Compare(y.Files, x.Files) })
	i := list[0]
	if i.Key != a.Key || i.Files != 3 || i.Alone != 0 || !i.Linked || !i.Referenced() || !slices.Equal(i.Folders, []string{filepath.Join(dir, "r1"), filepath.Join(dir, "r2")}) {
		t.Errorf("%+v", i)
	}
	if time.Since(i.Created) < 47*time.Hour || time.Since(i.Used) > time.Hour {
		t.Errorf("made %v, used %v", i.Created, i.Used)
	}
	if torn := list[1]; torn.Err == nil || torn.Bytes != 4 || torn.Alone != 4 || torn.Referenced() {
		t.Errorf("a torn entry: %+v", torn)
	}
}

// TestGCAtOnce: what several hosts want to remove at once one of them removes, and none of them fails for it.
func TestGCAtOnce(t *testing.T) {
	const records, hosts = 300, 4
	s := newStore(t)
	for i := range records {
		if err := os.WriteFile(s.usesPath(key(fmt.Sprint(i))), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	removed := make([]int, hosts)
	var all sync.WaitGroup
	for i := range hosts {
		one := fresh(t, s)
		all.Go(func() {
			out, err := one.GC(t.Context(), Rules{Select: func(Info) bool { return true }, Scratch: -1})
			if err != nil {
				t.Error(err)
			}
			for _, r := range out {
				if r.What == UseRecord {
					removed[i]++
				}
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range removed {
		sum += n
	}
	if left := files(t, filepath.Join(s.Dir(), usesDir)); sum != records || len(left) > 0 {
		t.Errorf("%v removed, %d left", removed, len(left))
	}
}
