package launch

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/client"
)

// handedOn reports whether every plugin gets an environment variable: where things are, the language, what libraries that compute are told, what
// Go and Python need to be debugged, and what decides which device is used. Nothing that is likely to hold a secret.
func handedOn(name string) bool {
	switch name {
	case "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "LOCALAPPDATA", "APPDATA",
		"GODEBUG", "GOTRACEBACK", "GORACE", "GOCOVERDIR", "GOMEMLIMIT", "GOGC",
		"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "CUDA_VISIBLE_DEVICES", "LIBXSMM_TARGET", "KMP_AFFINITY":
		return true
	case client.TokenEnv:
		return false
	}
	for _, prefix := range []string{"LC_", "XDG_", "OPENBLAS_", "MKL_", "CTDB_", "NVIDIA_", "XLA_", "JAX_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// goMemory is the share of a process's memory that Go's collector is told to stay below (GOMEMLIMIT): C libraries need the rest.
const goMemory = 0.8

// environment is what the process gets, from what the host has. Thread pools are told the budget, except OpenBLAS's, which is told 1: code that
// shares its work over goroutines calls it from several of them.
func environment(host []string, s Spec, token, folder string) []string {
	var out []string
	budget := strconv.Itoa(s.Threads)
	ours := map[string]string{
		client.TokenEnv:    token,
		client.LifelineEnv: client.LifelineStdin,
		FolderEnv:          folder,
		// One more than compute, which is left to answer Health. Those that compute in C hold a place in Go's scheduler each; while all places are held its monitor takes them away and wakes
		// other threads in vain, every few microseconds: a seventh of a training in closed loop, which is in C for a bin at a time.
		"GOMAXPROCS":           strconv.Itoa(s.Threads + 1),
		"OMP_NUM_THREADS":      budget,
		"MKL_NUM_THREADS":      budget,
		"NUMEXPR_NUM_THREADS":  budget,
		"OPENBLAS_NUM_THREADS": "1",
	}
	for name, value := range s.Set {
		if _, fixed := ours[name]; !fixed {
			ours[name] = value
		}
	}
	if s.Memory > 0 {
		ours["GOMEMLIMIT"] = strconv.FormatInt(int64(goMemory*float64(s.Memory)), 10)
	}
	for _, entry := range host {
		name, _, ok := strings.Cut(entry, "=")
		if _, set := ours[name]; ok && !set && (handedOn(name) || slices.Contains(s.Env, name)) {
			out = append(out, entry)
		}
	}
	for name, value := range ours {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// byHand is an environment without what a host sets.
func byHand(host []string, s Spec) []string {
	handshake := client.Handshake()
	out := slices.DeleteFunc(slices.Clone(host), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, set := s.Set[name]
		return set || name == handshake.MagicCookieKey || name == client.TokenEnv || name == client.LifelineEnv || name == FolderEnv
	})
	for name, value := range s.Set {
		out = append(out, name+"="+value)
	}
	return out
}
