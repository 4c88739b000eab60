package artifact

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A list of checksums that is empty is one that was cut off, and a folder without files can have none.
func TestEmptySums(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteSums(dir); !errors.Is(err, ErrSums) {
		t.Errorf("a folder without files: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, SumsFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := CheckSums(t.Context(), dir); !errors.Is(err, ErrSums) {
		t.Errorf("an empty list: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, SumsFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, SumsFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSums(dir); !errors.Is(err, ErrSums) {
		t.Errorf("a folder for a list: %v", err)
	}
}

// What is no regular file is told by name, and nobody opens it; of many names some are told.
func TestSumsOfOddThings(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := WriteSums(dir); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "a")), os.Symlink("b", filepath.Join(dir, "a"))); err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("more%02d", n)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var differs *SumsError
	_, err := CheckSums(t.Context(), dir)
	if !errors.As(err, &differs) || !slices.Equal(differs.Special, []string{"a"}) || len(differs.Missing)+len(differs.Changed) > 0 || len(differs.Extra) != 12 {
		t.Fatalf("%v", err)
	}
	if text := err.Error(); !strings.Contains(text, "more09 and 2 more") || strings.Contains(text, "more10") {
		t.Errorf("%s", text)
	}
}
