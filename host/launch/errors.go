package launch

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// StartError says why a plugin could not be started.
type StartError struct {
	Plugin, Path string
	// State is how the process ended, e.g. "exit status 3"; empty where it never ran or had to be killed.
	State string
	// Lines are the last that it printed.
	Lines []string
	Err   error
	// python is what the plugin is started with, if that is a Python.
	python string
}

// Error names the plugin, what went wrong, what to do about it where that is known, and its last lines.
func (e *StartError) Error() string {
	what := e.Err.Error()
	if advice := e.Advice(); advice != "" {
		what = advice
	} else if e.State != "" {
		what = fmt.Sprintf("it ended with %s before it was ready", e.State)
	}
	return fmt.Sprintf("launch: plugin %s (%s) cannot be started: %s", e.Plugin, e.Path, what) + lastLines(e.Lines)
}

// What plugins say that cannot be started, and what go-plugin says of one of another protocol.
var (
	missingModule   = regexp.MustCompile(`ModuleNotFoundError: No module named '([\w.]+)'`)
	missingLibrary  = regexp.MustCompile(`error while loading shared libraries: ([\w.+-]+): cannot open shared object file`)
	missingProgram  = regexp.MustCompile(`env: [‘'"]?([\w.+-]+)[’'"]?: No such file or directory`)
	otherProtocol   = regexp.MustCompile(`incompatible API version with plugin\. Plugin version: (\d+)`)
	otherConnection = "incompatible core API version"
)

// Advice says what is wrong and what to do about it, where a plugin that cannot be started lets that be known; else it is empty.
func (e *StartError) Advice() string {
	var text string
	if e.Err != nil {
		text = e.Err.Error()
	}
	lines := strings.Join(e.Lines, "\n")
	if m := otherProtocol.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("it speaks version %s of the plugin protocol, this host speaks version %d: build it again with this host's sdk, or use a host that speaks its version", m[1], component.ProtocolMajor)
	}
	if strings.Contains(text, otherConnection) {
		return "it was made with another go-plugin than this host's: build it again with this host's sdk"
	}
	if m := missingModule.FindStringSubmatch(lines); m != nil {
		module, _, _ := strings.Cut(m[1], ".")
		python := cmp.Or(e.python, "python3")
		if of := sdkPackage(module); of != "" {
			return fmt.Sprintf("the Python module %s is missing: install the package that has it for the Python that the plugin is started with (%s -m pip install %s)", module, python, of)
		}
		return fmt.Sprintf("the Python module %s is missing: install the package that has it, which may have another name, for the Python that the plugin is started with (%s -m pip ...)", module, python)
	}
	if m := missingLibrary.FindStringSubmatch(lines); m != nil {
		return fmt.Sprintf("the shared library %s is missing: install it, or name its folder in LD_LIBRARY_PATH", m[1])
	}
	if m := missingProgram.FindStringSubmatch(lines); m != nil {
		return fmt.Sprintf("its first line names %s, which is not on the PATH: install it, or activate the environment that has it", m[1])
	}
	return ""
}

// sdkPackage is the package of a module that the SDK for Python imports; empty for others, whose packages are not known: one that has a module's name may be anybody's.
func sdkPackage(module string) string {
	return map[string]string{"grpc": "grpcio", "google": "protobuf", "numpy": "numpy"}[module]
}

// pythonOf is the Python that a script's first line names; empty where it names none.
func pythonOf(script string) string {
	f, err := os.Open(script)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	if !strings.HasPrefix(line, "#!") {
		return ""
	}
	for _, word := range strings.Fields(line[2:]) {
		if strings.HasPrefix(filepath.Base(word), "python") {
			return word
		}
	}
	return ""
}

// ExitError says that a plugin's process died. It is component.ErrUnavailable.
type ExitError struct {
	Plugin, Path string
	PID          int
	// State is how it ended, e.g. "exit status 2" or "signal: killed".
	State string
	// Advice is what that usually means, and what to do about it.
	Advice string
	// Lines are the last that it logged or printed.
	Lines []string
	// Err is the call's error that the death showed itself by; may be nil.
	Err error
}

// Error names the plugin, how it ended, what to do, and its last lines.
func (e *ExitError) Error() string { return e.say("died: " + e.State) }

func (e *ExitError) say(what string) string {
	s := fmt.Sprintf("launch: plugin %s (process %d) %s", e.Plugin, e.PID, what)
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s + lastLines(e.Lines)
}

// Is makes errors.Is(err, component.ErrUnavailable) true.
func (e *ExitError) Is(target error) bool { return target == component.ErrUnavailable }

// Unwrap returns the call's error.
func (e *ExitError) Unwrap() error { return e.Err }

// HangError says that a plugin was killed because it did not answer. It is an [*ExitError] too.
type HangError struct {
	*ExitError
	// Unanswered is how long it was asked for its health in vain.
	Unanswered time.Duration
}

// Error says for how long it was silent, and what to do.
func (e *HangError) Error() string {
	return e.say(fmt.Sprintf("was killed, for it hangs: it has not answered for %v", e.Unanswered.Round(time.Millisecond)))
}

// Unwrap returns the death.
func (e *HangError) Unwrap() error { return e.ExitError }

// MemoryError says that a plugin was killed because it used too much memory. It is an [*ExitError] too.
type MemoryError struct {
	*ExitError
	// Used is what the process and all that it had started held in memory, Limit what it may, in bytes.
	Used, Limit int64
}

// Error says how much was used and allowed, and what to do.
func (e *MemoryError) Error() string {
	return e.say(fmt.Sprintf("was killed, for it used %s of memory: its limit is %s", humanize.IBytes(uint64(e.Used)), humanize.IBytes(uint64(e.Limit))))
}

// Unwrap returns the death.
func (e *MemoryError) Unwrap() error { return e.ExitError }

// What to do about a plugin that ended.
const (
	again       = "run the same command again: it goes on from the last checkpoint"
	report      = "report it to the plugin's author, with the lines below and the run's log"
	lessMemory  = "free memory, run fewer stages at once (--jobs), or choose smaller batches or models; then " + again
	hangAdvice  = "if it was only busy, give it longer, e.g. " + HealthEnv + "=10m; " + again + "; if it hangs again, " + report
	limitAdvice = "raise the limit (--memory), or choose smaller batches or models; then " + again
)

// adviceOn says what an end usually means. starved is set where the kernel has meanwhile killed processes for want of memory.
func adviceOn(state string, lines []string, starved bool) string {
	has := func(texts ...string) bool {
		return slices.ContainsFunc(lines, func(l string) bool {
			return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(l, t) })
		})
	}
	signal, signalled := strings.CutPrefix(state, "signal: ")
	signal, _, _ = strings.Cut(signal, " (")
	switch {
	case has("fatal error: runtime: out of memory", "cannot allocate memory", "MemoryError", "std::bad_alloc", "CUDA out of memory"):
		return "it could not get the memory that it asked for: " + lessMemory
	case signal == "killed" && starved:
		return "the kernel has killed processes because memory was short, and most likely this one: " + lessMemory
	case signal == "killed":
		return "not by this program: somebody, or a limit of the system (memory, time of a batch job), has; " + again
	case signal == "terminated", signal == "hangup", signal == "interrupt", signal == "user defined signal 1", signal == "CPU time limit exceeded":
		return "somebody, or a limit of the system, has ended it; " + again
	case signal == "illegal instruction":
		return "it was built for another processor than this one: rebuild it here, or " + report
	case signal == "bus error":
		return "a file that it had mapped was cut short, or a disk is full or failing: check the disks, then " + again
	case signalled, has("fatal error: ", "SIGSEGV"):
		return "it crashed: " + report
	case has("panic: ", "Traceback (most recent call last)"):
		return "an error in the plugin: " + report
	}
	return "it ended although it was in use: " + report
}

func lastLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "; its last lines:\n  " + strings.Join(lines, "\n  ")
}
