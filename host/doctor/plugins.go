package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// slowStart is from when on a plugin's start is worth a word: it is paid in every stage.
const slowStart = 2 * time.Second

// kernelEnv is the variable that forces a variant of the built-in plugin's kernels; it is documented in sdk/nn/kernel.
const kernelEnv = "CTDB_KERNEL_VARIANT"

// plugins starts every plugin and asks it what it is.
func plugins(ctx context.Context, s Subject) []Finding {
	var mu sync.Mutex
	took := map[string]time.Duration{}
	ask := func(ctx context.Context, c registry.Candidate) (m component.Manifest, err error) {
		limited, cancel := context.WithTimeout(ctx, s.PluginTimeout+time.Second)
		defer cancel()
		began := time.Now()
		spec := launch.Of(c)
		spec.StartTimeout = s.PluginTimeout
		p, err := launch.Start(limited, spec)
		if err != nil {
			return m, err
		}
		m, err = p.Client.Describe(limited)
		mu.Lock()
		took[c.Path] = time.Since(began)
		mu.Unlock()
		err = p.Wrap(err)
		return m, errors.Join(err, p.Stop(limited))
	}
	found, err := catalog.Discover(ctx, s.Search, catalog.Options{Describe: ask, Jobs: machine.Threads()})
	if err != nil {
		return nil // the context's
	}
	var out []Finding
	for _, p := range found.Plugins() {
		out = append(out, judgePlugin(p, took[p.Path]))
		if p.Source == registry.Builtin && p.Err == nil {
			out = append(out, judgeKernel(p.Manifest.Numerics["kernel"], s.env(kernelEnv), runtime.GOARCH, machine.Features()))
		}
	}
	for _, skip := range found.Skipped() {
		out = append(out, Finding{"plugins", skip.Path, Warning, "passed over: " + skip.Reason, skipAdvice(skip)})
	}
	return append(out, searched(s.Search)...)
}

func judgePlugin(p *catalog.Plugin, took time.Duration) Finding {
	f := Finding{"plugins", p.Title(), OK, "", ""}
	if p.Err != nil {
		f.Level = Problem
		f.Detail = fmt.Sprintf("%s cannot be used: %s", p.Path, p.Err)
		f.Advice = "its components are missing until it is mended or removed: " + mending(p.Err)
		return f
	}
	f.Detail = fmt.Sprintf("%d components, answers %d ms after its start", len(p.Manifest.Components), took.Milliseconds())
	if p.Source != registry.Builtin {
		f.Detail += ", " + p.Path
		if len(p.Manifest.Numerics) > 0 {
			var parts []string
			for _, name := range slices.Sorted(maps.Keys(p.Manifest.Numerics)) {
				parts = append(parts, name+"="+p.Manifest.Numerics[name])
			}
			f.Detail += ", " + strings.Join(parts, " ")
		}
	}
	switch {
	case p.Shadowed != "":
		f.Detail += "; not used, since " + p.Shadowed + " comes first"
	case took > slowStart:
		f.Level, f.Advice = Warning, "every stage waits for that: import less when it starts (for Python: inside the functions that need it)"
	}
	return f
}

// mending is what may help against an error of a plugin's start.
func mending(err error) string {
	var start *launch.StartError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "make it executable (chmod +x), on a file system that allows it"
	case errors.Is(err, component.ErrUnsupported):
		return "build it with this version's sdk"
	case errors.As(err, &start) && start.Advice() != "":
		return "do what the message says"
	case errors.As(err, &start) && start.State != "":
		return "start it by hand to see why it ends"
	case errors.As(err, &start):
		return "it must end its start by calling serve.Main, and print nothing to standard output before"
	}
	return "build it again with this version's sdk"
}

func skipAdvice(s registry.Skip) string {
	if strings.HasPrefix(s.Reason, "cannot be searched") {
		return "make the folder, or take it out of --plugin-dir or $" + registry.PathEnv
	}
	return "mend it, or remove it"
}

// searched says where plugins are looked for.
func searched(s registry.Search) []Finding {
	var names []string
	var out []Finding
	for _, d := range s.Dirs {
		names = append(names, d.Path)
		fsys, err := machine.Stat(d.Path)
		if err == nil && fsys.NoExec {
			out = append(out, Finding{"plugins", d.Path, Warning, "no program may be started from that file system (noexec)", "keep plugins elsewhere, see --plugin-dir and $" + registry.PathEnv})
		}
	}
	return append(out, Finding{"plugins", "folders", OK, "looked for " + registry.Prefix + "* in " + strings.Join(names, ", "), ""})
}

// judgeKernel says which variant of the kernels is used, and how to have another.
func judgeKernel(used, forced, arch string, have []string) Finding {
	f := Finding{"plugins", "kernels", OK, used, ""}
	variants := []string{"generic"}
	if arch == "amd64" {
		if slices.Contains(have, "AVX2") && slices.Contains(have, "FMA") {
			variants = append([]string{"avx2"}, variants...)
		}
		if slices.Contains(have, "AVX-512") {
			variants = append([]string{"avx512"}, variants...)
		}
	}
	switch {
	case forced != "" && forced != used:
		f.Level = Problem
		f.Detail = fmt.Sprintf("%s=%s: this processor and build have %s", kernelEnv, forced, strings.Join(variants, ", "))
		f.Advice = "unset " + kernelEnv + ", or set it to one of them: until then nothing can be trained"
	case forced != "":
		f.Detail += ", forced by " + kernelEnv
		if len(variants) > 0 && variants[0] != used {
			f.Level, f.Advice = Warning, fmt.Sprintf("unset %s, unless results must agree to the last bit with those of other machines: %s is faster", kernelEnv, variants[0])
		}
	default:
		f.Detail += ", the best that this processor has"
		if len(variants) > 1 {
			others := slices.DeleteFunc(variants, func(v string) bool { return v == used })
			f.Detail += fmt.Sprintf("; %s=%s forces another, whose results differ in the last bits", kernelEnv, strings.Join(others, "|"))
		}
	}
	return f
}
