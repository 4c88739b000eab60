package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/host/store"
)

// folders looks at the folders that are written, apart from the store.
func folders(_ context.Context, s Subject) []Finding {
	runs := writable("runs", s.Runs, Problem, "write runs elsewhere: --out DIR")
	cache := writable("cache", s.Cache, Warning, "every command asks every plugin again: make it writable, or set XDG_CACHE_HOME")
	return []Finding{runs, cache, sockets(launch.SocketFolders(), s.env)}
}

// writable tries a folder, and looks at the space there.
func writable(what, dir string, otherwise Level, advice string) Finding {
	f := Finding{"folders", what, OK, dir, ""}
	if err := machine.Writable(dir); err != nil {
		f.Level, f.Detail, f.Advice = otherwise, plainly(err), advice
		return f
	}
	fsys, err := machine.Stat(dir)
	if err != nil || fsys.Type == "" {
		return f
	}
	space := judgeSpace(fsys)
	f.Detail += ": " + space.Detail
	f.Level, f.Advice = space.Level, space.Advice
	return f
}

// judgeSpace looks at what a file system has left.
func judgeSpace(fsys machine.FileSystem) Finding {
	f := Finding{"folders", "space", OK, fmt.Sprintf("%s, %s free", fsys.Type, size(fsys.Free)), ""}
	if !fsys.NoFiles && fsys.Files < scarceFiles {
		f.Detail += fmt.Sprintf(", room for %s more files", humanize.Comma(fsys.Files))
	}
	switch {
	case fsys.Free < littleDisk:
		f.Level, f.Advice = Problem, "make room: results of even a small study take some hundred MiB"
	case !fsys.NoFiles && fsys.Files < scarceFiles/10:
		f.Level, f.Advice = Problem, "remove files: a run makes hundreds"
	case fsys.Free < scarceDisk || !fsys.NoFiles && fsys.Files < scarceFiles:
		f.Level, f.Advice = Warning, "a published setting takes some GiB: make room, or keep results elsewhere (--store, --out)"
	}
	return f
}

// sockets looks at where the sockets to plugins are made.
func sockets(candidates []string, env func(string) string) Finding {
	f := Finding{"folders", "sockets", OK, "", ""}
	advice := fmt.Sprintf("set TMPDIR to a folder on this machine with a path of at most %d bytes", launch.MaxSocketFolder)
	var wrong []string
	for _, dir := range candidates {
		if err := machine.Writable(dir); err != nil {
			wrong = append(wrong, plainly(err))
			continue
		}
		f.Detail = fmt.Sprintf("%s, a path of %d bytes of at most %d", dir, len(dir), launch.MaxSocketFolder)
		if fsys, err := machine.Stat(dir); err == nil && fsys.Network {
			f.Level, f.Advice = Warning, "on a network file system ("+fsys.Type+") sockets may not work: "+advice
		}
		if tmp := env("TMPDIR"); len(tmp) > launch.MaxSocketFolder {
			f.Detail += fmt.Sprintf("; TMPDIR is not used for them, its path has %d", len(tmp))
		}
		return f
	}
	f.Level, f.Advice, f.Detail = Problem, advice, strings.Join(append(wrong, "there is no folder for them: no plugin can be started"), "; ")
	return f
}

// storage looks at the store: what it needs of its folder, and what lies about in it.
func storage(ctx context.Context, s Subject) []Finding {
	const area = "store"
	var out []Finding
	worked, failed := []string{}, false
	probed := store.Probe(s.Store)
	for _, p := range probed {
		if p.Err == nil {
			if p.Detail == "ok" {
				worked = append(worked, p.What)
			} else if p.What != "file system" {
				out = append(out, Finding{area, p.What, OK, p.Detail, ""})
			}
			continue
		}
		f := Finding{area, p.What, Warning, plainly(p.Err), p.Do}
		if p.Needed {
			f.Level, failed = Problem, true
		}
		out = append(out, f)
	}
	if fsys, err := machine.Stat(s.Store); err == nil && fsys.Type != "" {
		f := judgeSpace(fsys)
		f.Area, f.What = area, "file system"
		if fsys.Network && f.Level == OK {
			f.Level = Warning
			f.Detail += ", shared with other machines"
			f.Advice = "its locks must exclude between machines (NFSv4, or NFSv3 with lockd), which cannot be tried from one; else give each machine a store of its own"
		}
		out = append(out, f)
	}
	if len(worked) > 0 {
		out = append(out, Finding{area, "works", OK, strings.Join(worked, ", "), ""})
	}
	if failed {
		return out
	}
	return append(out, remains(ctx, s.Store)...)
}

// remains looks at what is in a store beside results.
func remains(ctx context.Context, dir string) []Finding {
	const area = "store"
	st, err := store.OpenReadOnly(dir)
	if err != nil {
		return []Finding{{area, "layout", Problem, plainly(err), "choose another folder with --store"}}
	}
	left, err := st.Leftovers(ctx)
	if err == nil {
		err = st.Close()
	}
	if err != nil {
		return []Finding{{area, "leftovers", Warning, plainly(err), "see `ctdb-host store verify`"}}
	}
	bytes, n, damaged := int64(0), 0, 0
	oldest := time.Now()
	for _, l := range left {
		if l.What == store.DamagedEntry {
			damaged++
		}
		if l.Held {
			continue
		}
		n++
		bytes += l.Bytes
		if l.Changed.Before(oldest) {
			oldest = l.Changed
		}
	}
	if n == 0 {
		return []Finding{{area, "leftovers", OK, "none", ""}}
	}
	f := Finding{area, "leftovers", OK, fmt.Sprintf("unfinished or damaged: %d, %s, the oldest from %s; `ctdb-host store gc` removes them", n, size(bytes), humanize.Time(oldest)), ""}
	if damaged > 0 {
		f.Level, f.Advice = Warning, fmt.Sprintf("found damaged and moved aside: %d; see whether the disk is sound, and run `ctdb-host store verify`", damaged)
	}
	return []Finding{f}
}

// plainly is an error without the name of the package that it comes from.
func plainly(err error) string {
	if errors.Is(err, syscall.EROFS) {
		return "the file system can only be read: " + err.Error()
	}
	text := err.Error()
	for _, name := range []string{"machine: ", "store: "} {
		text = strings.TrimPrefix(text, name)
	}
	return text
}
