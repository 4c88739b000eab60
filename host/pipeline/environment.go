package pipeline

import (
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/machine"
)

// about is what the provenances of a run's folders have in common.
func (x Run) about() artifact.Provenance {
	return artifact.Provenance{
		Name: x.Study.Name, Shard: x.shard(), Status: statusRunning, Host: x.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPU: processor(), Threads: x.Host.Budget.Threads(), Started: time.Now().UTC(), Command: x.Command,
		Environment: environment(), Libraries: artifact.Libraries(),
	}
}

// environment is the variables that may change results or speed.
func environment() map[string]string {
	out := map[string]string{}
	for _, name := range []string{"CTDB_KERNEL_VARIANT", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOMAXPROCS"} {
		if v, ok := os.LookupEnv(name); ok {
			out[name] = v
		}
	}
	return out
}

// processor names the features that numerical code chooses by.
func processor() string {
	features := machine.Features()
	if len(features) == 0 {
		return runtime.GOARCH
	}
	return runtime.GOARCH + " with " + strings.Join(features, ", ")
}
