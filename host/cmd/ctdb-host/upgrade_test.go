package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A plugin is not upgraded or removed under an experiment that uses it, also where the stage that needs it has not come yet: whoever tries is told which process it is. Beside it a newer version may
// come, and once the experiment has ended, however that was, nothing is in the way.
func TestUpgradeWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, flags := range map[string]string{"old": "", "new": "-X main.version=1.1.0 -X main.gain=2"} {
		build(t, "./testdata/versioned", w.path(name, "ctdb-plugin-versioned"), "-ldflags", flags)
	}
	w.must("plugin", "install", w.path("old"))
	study := w.write("study.yaml", longStudy+`simulate: {use: simulator/spikes, params: {n_heldin: 6, n_heldout: 2}}
fit:
  - {use: model/constant}
  - {name: other, use: model/constant}
compare:
  - {use: comparator/scaled-mean}
`)
	w.must("plugin", "lock", study)
	host, out := w.command("run", study, "--store", w.path("store"), "--out", w.path("run-1"), "--set", "train.params.epochs=100000")
	w.started(host, "run-1")
	installed := filepath.Join("home", ".local", "share", "ctdb", "plugins")
	for _, args := range [][]string{{"plugin", "remove", "versioned"}, {"plugin", "upgrade", w.path("new")}} {
		before := w.files(installed)
		status, told := w.run(args...)
		form := regexp.MustCompile(fmt.Sprintf(`versioned@1\.0\.0 is in use by process %d \(.*ctdb-host run `, host.Process.Pid))
		if status != 2 || !form.MatchString(told.stderr.String()) {
			t.Errorf("%v: exit status %d\n%s", args, status, told)
		}
		if now := w.files(installed); fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("%v changed %v to %v", args, before, now)
		}
	}
	w.must("plugin", "upgrade", "--keep", w.path("new"))
	w.must("plugin", "remove", "versioned@1.1.0")
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	w.finish(host, out)
	w.must("plugin", "upgrade", w.path("new"))
	if _, err := os.Stat(w.path(installed, "versioned@1.0.0")); err == nil {
		t.Error("the older version is still there")
	}
	status, told := w.run("run", study, "--store", w.path("store"), "--out", w.path("run-2"))
	if text := told.stderr.String(); status != 2 || strings.Count(text, "versioned@1.1.0 with checksum") != 1 || strings.Count(text, "pins versioned@1.0.0 with checksum") != 1 {
		t.Errorf("run after the upgrade: exit status %d\n%s", status, told)
	}
	w.quiet()
}
