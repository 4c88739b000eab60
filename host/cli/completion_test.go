package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asProgram is the environment variable that makes this test's executable the program.
const asProgram = "CTDB_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(context.Background(), append([]string{"ctdb-host"}, os.Args[1:]...), Program{Out: os.Stdout, Err: os.Stderr}))
	}
	os.Exit(m.Run())
}

// words is what completion offers after a line; the last argument is what has been typed of the next word.
func words(t *testing.T, line ...string) []string {
	t.Helper()
	var out, errs bytes.Buffer
	if status := Main(t.Context(), append(append([]string{"ctdb-host"}, line...), completionFlag), Program{Out: &out, Err: &errs}); status != Success || errs.Len() > 0 {
		t.Errorf("%q: exit status %d, %s", line, status, errs.String())
	}
	var found []string
	for l := range strings.Lines(out.String()) {
		word, _, ok := strings.Cut(l, "\t")
		if !ok {
			t.Errorf("%q: no tab in %q", line, l)
		}
		found = append(found, word)
	}
	return found
}

// study makes a working folder with two experiment files, a folder of runs and files that are none.
func study(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"study.yaml": "version: 1\nname: study\ntask: {use: task/nbff}\ntrain: {use: model/gru}\n", "sub/other.yml": "", "notes.txt": "", ".hidden/x.yaml": "",
		"runs/first-1/provenance.json": `{"name":"first","status":"done","started":"2026-01-01T00:00:00Z"}`, "runs/second-2/provenance.json": `{"name":"second","status":"failed","started":"2026-01-02T00:00:00Z"}`,
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv(asProgram, "1") // so that asking this executable whether it is a plugin does not run the tests
}

func TestCompletion(t *testing.T) {
	study(t)
	for _, c := range []struct {
		line       string // the last word, which may be empty, is being typed
		want, less []string
	}{
		{"", []string{"run", "doctor", "help"}, []string{"list", "--json", "serve-builtin"}},
		{"ru", []string{"run", "runs"}, []string{"report"}},
		{"--st", []string{"--store"}, []string{"--json", "store"}},
		{"run ", []string{"study.yaml", "quickstart", "sub/", "runs/"}, []string{"notes.txt", ".hidden/", "--jobs"}},
		{"run s", []string{"study.yaml", "sub/"}, []string{"quickstart"}},
		{"run sub/", []string{"sub/other.yml"}, []string{"study.yaml"}},
		{"run .", []string{".hidden/"}, []string{"study.yaml"}},
		{"run study.yaml ", nil, []string{"study.yaml"}},
		{"run --j", []string{"--jobs", "--json"}, []string{"--threads"}},
		{"run study.yaml --json --j", []string{"--jobs"}, []string{"--json"}},
		{"run --set a=1 --se", []string{"--set"}, nil},
		{"run --out ", []string{"sub/", "runs/"}, []string{"study.yaml", "quickstart"}},
		{"run --out=su", []string{"--out=sub/"}, nil},
		{"run --jobs ", nil, []string{"study.yaml"}},
		{"run -- ", []string{"study.yaml"}, []string{"--jobs"}},
		{"run -- --", nil, []string{"--jobs"}},
		{"--store sub run ", []string{"study.yaml"}, nil},
		{"run study.yaml --set ", []string{"seed=", "task.use=", "train.seed="}, []string{"study.yaml"}},
		{"run --set tr", nil, []string{"train.use="}}, // which experiment is not known yet
		{"run study.yaml --set tr", []string{"train.use="}, []string{"task.use="}},
		{"show ", []string{"second-2", "first-1"}, []string{"study.yaml"}},
		{"show --root sub ", []string{"runs/"}, []string{"first-1"}},
		{"show --log-level ", []string{"debug", "info", "warn", "error"}, []string{"first-1"}},
		{"report f", []string{"first-1"}, []string{"second-2"}},
		{"components ", []string{"task", "model", "simulator", "comparator"}, nil},
		{"examples n", []string{"nbff"}, []string{"quickstart"}},
		{"completion ", []string{"bash", "zsh", "fish"}, nil},
		{"help ", []string{"run", "environment"}, nil},
		{"plugin ", []string{"list"}, []string{"run"}},
		{"nosuch ", nil, []string{"run", "study.yaml"}},
		{"run --nosuch=", nil, []string{"study.yaml"}},
	} {
		got := words(t, strings.Split(c.line, " ")...)
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %q is missing in %q", c.line, w, got)
			}
		}
		for _, w := range c.less {
			if slices.Contains(got, w) {
				t.Errorf("%q: %q is in %q", c.line, w, got)
			}
		}
	}
	if got := words(t, "show", ""); len(got) < 2 || got[0] != "second-2" || got[1] != "first-1" {
		t.Errorf("the newest run is not first in %q", got)
	}
}

// program puts this test's executable on the path as ctdb-host, and returns the environment that makes it the program.
func program(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "ctdb-host")); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), asProgram+"=1", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// The bash script is run by bash, with the variables that bash sets: words split at "=" and ":" as well.
func TestBashScript(t *testing.T) {
	env := program(t)
	study(t)
	script := "eval \"$(ctdb-host completion bash)\" || exit\n" + `complete_line() {
    COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$' \t\n"\'><=;|&(:' COMP_CWORD=$(($# - 2))
    shift
    COMP_WORDS=("$@")
    _ctdb_host "${COMP_WORDS[0]}"
    echo "${COMPREPLY[*]}"
}
`
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	var lines, want []string
	for _, c := range []struct {
		line, split string // split as bash does, by commas
		want        []string
	}{
		{"ctdb-host ru", "ctdb-host,ru", []string{"run", "runs"}},
		{"ctdb-host run s", "ctdb-host,run,s", []string{"study.yaml", "sub/", "sizes"}},
		{"ctdb-host run --out=su", "ctdb-host,run,--out,=,su", []string{"sub/"}},
		{"ctdb-host run --out su", "ctdb-host,run,--out,su", []string{"sub/"}},
		{"ctdb-host run study.yaml --set train.se", "ctdb-host,run,study.yaml,--set,train.se", []string{"train.seed="}},
		{"ctdb-host run study.yaml --set=train.se", "ctdb-host,run,study.yaml,--set,=,train.se", []string{"train.seed="}},
		{"ctdb-host run  --set  'a=[1, 2]'  study.y", "ctdb-host,run,--set,'a=[1; 2]',study.y", []string{"study.yaml"}},
		{"ctdb-host run --set a:b=c st", "ctdb-host,run,--set,a,:,b,=,c,st", []string{"study.yaml"}},
		{"ctdb-host run --set x= st", "ctdb-host,run,--set,x,=,st", []string{"study.yaml"}},
		{"ctdb-host nosuch ", "ctdb-host,nosuch,", []string{""}},
	} {
		script += "complete_line " + quoted(c.line)
		for word := range strings.SplitSeq(c.split, ",") {
			script += " " + quoted(strings.ReplaceAll(word, "1; 2", "1, 2"))
		}
		script += "\n"
		lines, want = append(lines, c.line), append(want, strings.Join(c.want, " "))
	}
	cmd := exec.Command("bash", "--norc", "-c", script)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v: got %q", err, got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q: got %q, want %q", lines[i], got[i], want[i])
		}
	}
}

// Where fish and zsh are installed, their scripts are read by them; fish completes without a terminal, too.
func TestOtherShells(t *testing.T) {
	env := program(t)
	study(t)
	for _, c := range []struct {
		shell, script string
		want          []string
	}{
		{"fish", "ctdb-host completion fish | source; complete -C 'ctdb-host run s'; complete -C 'ctdb-host run study.yaml --set=train.se'; complete -C 'ctdb-host '",
			[]string{"study.yaml", "sub/", "--set=train.seed=", "run", "doctor"}},
		{"zsh", `compdef() { print -r -- "$@" }; eval "$(ctdb-host completion zsh)"; whence -w _ctdb_host`, []string{"_ctdb_host ctdb-host", "_ctdb_host: function"}},
	} {
		path, err := exec.LookPath(c.shell)
		if err != nil {
			t.Logf("%s is not installed", c.shell)
			continue
		}
		flag := "-c"
		if c.shell == "zsh" {
			flag = "-fc"
		}
		cmd := exec.Command(path, flag, c.script)
		cmd.Env = append(env, "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		var got []string
		for l := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
			got = append(got, word)
		}
		for _, w := range c.want {
			if err != nil || !slices.Contains(got, w) {
				t.Errorf("%s: %s: %q is missing in %q; %v", c.shell, c.script, w, got, err)
			}
		}
	}
}
