package doctor

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// The sizes below which something is said. They are what small studies need; what a large one needs is checked when it is validated.
const (
	scarceMemory = 1 << 30
	littleMemory = 256 << 20
	scarceDisk   = 5 << 30
	littleDisk   = 500 << 20
	scarceFiles  = 10000
	// openFiles is what a run with many jobs may have open, and fewOpenFiles what a small one does.
	openFiles    = 1024
	fewOpenFiles = 128
)

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// program looks at what this program is made of.
func program(_ context.Context, s Subject) []Finding {
	const area = "program"
	out := []Finding{
		{area, "ctdb-host", OK, s.Version + ", " + runtime.Version(), ""},
		{area, "protocol", OK, fmt.Sprintf("%d.%d: plugins of %d.x are understood", component.ProtocolMajor, component.ProtocolMinor, component.ProtocolMajor), ""},
	}
	h, err := artifact.LibraryHDF5()
	switch {
	case err != nil:
		out = append(out, Finding{area, "HDF5", Problem, err.Error(), "install the HDF5 library again"})
	case h.Version != h.Built:
		out = append(out, Finding{area, "HDF5", Problem, fmt.Sprintf("the library is %s, the program was built with %s", h.Version, h.Built),
			"build the program again, or make LD_LIBRARY_PATH lead to " + h.Built})
	case h.ThreadSafe:
		out = append(out, Finding{area, "HDF5", OK, h.Version + ", thread-safe", ""})
	default:
		out = append(out, Finding{area, "HDF5", OK, h.Version + ", not thread-safe, which does no harm: it is called by one thread at a time", ""})
	}
	return out
}

// processor looks at the processor and at how much of it may be used.
func processor(_ context.Context, s Subject) []Finding {
	const area = "processor"
	cpus, quota, threads := machine.CPUs(), machine.Quota(), s.Threads
	if threads <= 0 {
		threads = machine.Threads()
	}
	return append([]Finding{
		{area, "system", OK, fmt.Sprintf("%s, %s/%s", machine.System(), runtime.GOOS, runtime.GOARCH), ""},
		features(runtime.GOARCH, machine.Processor(), machine.Features()),
		cores(cpus, quota, threads),
	}, blas(s.env, machine.Features())...)
}

func features(arch, name string, have []string) Finding {
	f := Finding{"processor", "instructions", OK, name + ": " + strings.Join(have, ", "), ""}
	if arch == "amd64" && !(slices.Contains(have, "AVX2") && slices.Contains(have, "FMA")) {
		f.Level, f.Detail = Warning, name+": neither AVX2 with FMA nor AVX-512"
		f.Advice = "training is many times slower than on a processor of the last ten years; in a virtual machine, let the processor's features through"
	}
	return f
}

func cores(cpus int, quota float64, threads int) Finding {
	f := Finding{"processor", "threads", OK, fmt.Sprintf("%d, on %d processors", threads, cpus), ""}
	if quota > 0 {
		f.Detail += fmt.Sprintf(" of which the control group grants the time of %.3g", quota)
	}
	fit := cpus
	if quota > 0 {
		fit = min(fit, max(int(quota+0.999), 1))
	}
	if threads > fit {
		f.Level, f.Advice = Warning, fmt.Sprintf("more threads than can run at once slow each other down: --threads %d", fit)
	}
	return f
}

// blas looks at what numerical libraries in plugins are told.
func blas(env func(string) string, have []string) []Finding {
	const area = "processor"
	var out []Finding
	if v := env("OPENBLAS_CORETYPE"); v != "" {
		f := Finding{area, "OPENBLAS_CORETYPE", OK, v + ": OpenBLAS, in plugins that use it, takes its kernels for that processor; the built-in plugin has kernels of its own", ""}
		wide := []string{"SkylakeX", "Cooperlake", "Sapphirerapids"}
		if slices.Contains(have, "AVX-512") && !slices.ContainsFunc(wide, func(w string) bool { return strings.EqualFold(w, v) }) {
			f.Level = Warning
			f.Advice = "unset it, unless results must agree to the last bit with a machine that has no AVX-512: OpenBLAS is up to twice as fast without"
		}
		out = append(out, f)
	}
	if v := env("OPENBLAS_L2_SIZE"); v != "" {
		out = append(out, Finding{area, "OPENBLAS_L2_SIZE", Warning, v + ": OpenBLAS, in plugins that use it, cuts its work for a cache of that size",
			"unset it, unless results must agree to the last bit with those of a machine where it is set"})
	}
	for _, name := range []string{"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "GOMAXPROCS"} {
		if v := env(name); v != "" {
			out = append(out, Finding{area, name, OK, v + ", which plugins are not told: they get what they are allotted of --threads", ""})
		}
	}
	return out
}

// memory looks at what there is, and at the limits on it.
func memory(context.Context, Subject) []Finding { return []Finding{judgeMemory(machine.ReadMemory())} }

func judgeMemory(m machine.Memory) Finding {
	f := Finding{"memory", "available", OK, "", ""}
	if m.Total == 0 {
		f.Detail = "not known on this system"
		return f
	}
	f.Detail = fmt.Sprintf("%s of %s", size(m.Available), size(m.Total))
	if m.Limit > 0 {
		f.Detail += fmt.Sprintf("; the control group has %s left of %s", size(max(m.Limit-m.Used, 0)), size(m.Limit))
	}
	switch free := m.Free(); {
	case free < littleMemory:
		f.Level, f.Advice = Problem, "end other programs, or raise the limit: even a small study takes some hundred MiB"
	case free < scarceMemory:
		f.Level, f.Advice = Warning, "small studies only; `ctdb-host validate` says what an experiment needs"
	}
	return f
}

// limits looks at what the system allows a process.
func limits(context.Context, Subject) []Finding {
	now, most := machine.OpenFiles()
	if most == 0 {
		return nil
	}
	return []Finding{judgeOpenFiles(now, most)}
}

func judgeOpenFiles(now, most uint64) Finding {
	f := Finding{"limits", "open files", OK, fmt.Sprintf("%s (ulimit -n; at most %s)", count(now), count(most)), ""}
	advice := fmt.Sprintf("ulimit -n %d", min(most, 4*openFiles))
	if most < openFiles {
		advice = "have the hard limit raised (ulimit -Hn), e.g. in /etc/security/limits.conf"
	}
	switch {
	case now < fewOpenFiles:
		f.Level, f.Advice = Problem, advice
	case now < openFiles:
		f.Level, f.Advice = Warning, "enough for a few jobs side by side; for more: "+advice
	}
	return f
}

func count(n uint64) string {
	if n > 1<<40 {
		return "unlimited"
	}
	return humanize.Comma(int64(n))
}

// leftovers removes what dead hosts have left.
func leftovers(ctx context.Context, _ Subject) []Finding {
	removed, err := launch.Sweep(ctx)
	f := Finding{"leftovers", "killed hosts", OK, "nothing is left of any", ""}
	if len(removed) > 0 {
		f.Detail = fmt.Sprintf("removed what they left: %s", strings.Join(removed, ", "))
	}
	if err != nil && ctx.Err() == nil {
		f.Level, f.Detail, f.Advice = Warning, err.Error(), "remove it by hand: folders ctdb-* in "+strings.Join(launch.SocketFolders(), " and ")
	}
	return []Finding{f}
}
