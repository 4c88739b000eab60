package runlog

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const file = "log.jsonl"

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func messages(t *testing.T, f *Follower) string {
	t.Helper()
	var out []string
	for {
		records, more, err := f.Poll()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			out = append(out, r.Message)
		}
		if !more {
			return strings.Join(out, " ")
		}
	}
}

func line(message string) string { return `{"level":"INFO","msg":"` + message + `"}` + "\n" }

// Records come as they are written, in whatever pieces, whole lines only; what is no record is passed over.
func TestFollow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	path := filepath.Join(dir, file)
	f := Follow(dir, file)
	defer f.Close()
	step := func(what, want string) {
		t.Helper()
		if got := messages(t, f); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	step("no folder", "")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	step("no log", "")
	write(t, path, line("a")+line("b")+`{"msg":`)
	step("two and a half", "a b")
	step("nothing new", "")
	write(t, path, `"c"}`)
	step("no end of line yet", "")
	write(t, path, "\n"+"panic: no record\n[1]\nnull\n\n"+line("d"))
	step("noise between", "c d")
	// Written over from its start.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, path, line("e"))
	step("cut short", "e")
	// Rotated, with a last record that had not been read.
	write(t, path, line("f"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	step("renamed", "f")
	write(t, path, line("g"))
	step("a new one", "g")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, line("h")+line("i"))
	step("replaced between two polls", "h i")
}

func TestFollowShards(t *testing.T) {
	dir := t.TempDir()
	f := Follow(dir, file)
	defer f.Close()
	stamp := func(second, message string) string {
		return `{"time":"2026-01-01T00:00:0` + second + `Z","level":"INFO","msg":"` + message + `"}` + "\n"
	}
	write(t, filepath.Join(dir, "log-1-of-2.jsonl"), stamp("1", "a")+stamp("3", "c"))
	write(t, filepath.Join(dir, "log-2-of-2.jsonl"), stamp("2", "b"))
	write(t, filepath.Join(dir, "log-notes.jsonl"), stamp("2", "x"))
	write(t, filepath.Join(dir, "provenance-1-of-2.json"), stamp("2", "y"))
	if got := messages(t, f); got != "a b c" {
		t.Errorf("got %q", got)
	}
}

func TestLongLines(t *testing.T) {
	dir := t.TempDir()
	f := Follow(dir, file)
	defer f.Close()
	write(t, filepath.Join(dir, file), line("a")+line(strings.Repeat("x", maxLine))+line("b")+strings.Repeat("y", 2*maxRead)+"\n"+line("c"))
	if got := messages(t, f); got != "a b c" {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestRecord(t *testing.T) {
	r, ok := parse([]byte(`{"time":"2026-01-02T03:04:05.5Z","level":"WARN+1","msg":"m","stage":"train","done":3,"loss":0.5,"why":"it is so","list":[1,2],"on":true}`))
	if !ok || r.Message != "m" || r.Level != slog.LevelWarn+1 || !r.Time.Equal(time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC)) {
		t.Fatalf("got %+v, %v", r, ok)
	}
	if r.Text("stage") != "train" || r.Integer("done") != 3 || r.Number("loss") != 0.5 || !math.IsNaN(r.Number("stage")) || r.Integer("none") != 0 {
		t.Errorf("got %+v", r)
	}
	if got, want := r.Rest("stage", "loss"), `done=3 list=[1,2] on=true why="it is so"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What slog's JSON handler writes comes back.
func TestHandler(t *testing.T) {
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.Debug("one", "stage", "fit/a")
	log.Error("two\nlines")
	f := Follow(dir, file)
	defer f.Close()
	records, _, err := f.Poll()
	if err != nil || len(records) != 2 {
		t.Fatalf("got %+v, %v", records, err)
	}
	if records[0].Level != slog.LevelDebug || records[0].Text("stage") != "fit/a" || records[1].Message != "two\nlines" || time.Since(records[0].Time) > time.Hour {
		t.Errorf("got %+v", records)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"time":"2026-01-02T03:04:05.5Z","level":"WARN","msg":"m","stage":"train","done":3}`))
	f.Add([]byte(`{"level":1,"msg":[],"time":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, ok := parse(data)
		if !ok {
			return
		}
		_ = r.Rest("stage")
		if slices.Contains([]string{"time", "level", "msg"}, r.Text("x")) {
			_ = r.Number("x")
		}
		_ = r.Integer("done")
	})
}
