package launch

import (
	"fmt"
	"os"
	"path/filepath"
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

// environment is what the process gets, from what the host has. Thread pools are told the budget, except OpenBLAS's, which is told 1: code that
// shares its work over goroutines calls it from several of them.
func environment(host []string, s Spec, token string) []string {
	var out []string
	budget := strconv.Itoa(s.Threads)
	ours := map[string]string{
		client.TokenEnv: token,
		// At least 2, so that a thread is left to answer Health.
		"GOMAXPROCS":           strconv.Itoa(max(s.Threads, 2)),
		"OMP_NUM_THREADS":      budget,
		"MKL_NUM_THREADS":      budget,
		"NUMEXPR_NUM_THREADS":  budget,
		"OPENBLAS_NUM_THREADS": "1",
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

// maxSocketBase is the longest folder under which a socket's path still fits the 108 bytes that the system allows: go-plugin adds two
// names of its own below ours.
const maxSocketBase = 40

// privateFolder makes a folder that nobody else may enter, with a short path. Its name holds the host's process number, so that what a killed host left behind can
// be told from what is in use.
func privateFolder() (string, error) {
	var first error
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if base == "" || !filepath.IsAbs(base) || len(base) > maxSocketBase {
			continue
		}
		folder, err := os.MkdirTemp(base, fmt.Sprintf("ctdb-%d-", os.Getpid()))
		if err == nil {
			return folder, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("no folder for sockets with a path of at most %d bytes: set TMPDIR to one", maxSocketBase)
	}
	return "", first
}
