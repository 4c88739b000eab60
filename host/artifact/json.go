package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/renameio/v2"
)

// Number is a float64 whose JSON is null where it is NaN or infinite; null is read as NaN.
type Number float64

// MarshalJSON writes the shortest decimals that read back as the same number.
func (n Number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads a number or null.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

func numbers(v []float64) []Number {
	if v == nil {
		return nil
	}
	out := make([]Number, len(v))
	for i, x := range v {
		out[i] = Number(x)
	}
	return out
}

func float64s(v []Number) []float64 {
	if v == nil {
		return nil
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// EncodeJSON encodes v deterministically: two spaces of indentation, the fields of structs in their order and the keys of maps
// sorted, no escapes for HTML, a final newline. Floats in v must be finite or of type [Number].
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	return b.Bytes(), nil
}

// WriteJSON writes what [EncodeJSON] gives with [WriteFile].
func WriteJSON(path string, v any) error {
	b, err := EncodeJSON(v)
	if err != nil {
		return fmt.Errorf("%w (for %s)", err, path)
	}
	return WriteFile(path, b)
}

// ReadJSON decodes a file that holds one JSON value. Unknown fields are let pass, so that an older program reads newer files.
func ReadJSON(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	if err := decodeJSON(b, into); err != nil {
		return fmt.Errorf("artifact: %s: %w", path, err)
	}
	return nil
}

// decodeJSON decodes exactly one value; its errors name the line.
func decodeJSON(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); more == nil {
			err = errors.New("more than one JSON value")
		} else if !errors.Is(more, io.EOF) {
			err = more
		}
	}
	if err == nil {
		return nil
	}
	at := d.InputOffset()
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		at = syntax.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends too early")
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(b[:min(at, int64(len(b)))], []byte("\n")), err)
}

// DecodeValue reads a value, e.g. one of a record's KeyParts; whole numbers are int64, others float64.
func DecodeValue(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("artifact: %q: %w", text, err)
	}
	return plain(v), nil
}

// plain turns the json.Numbers in a decoded value into int64 where they are whole and written so, else float64.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return u
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// finite replaces what JSON cannot hold in a value of interfaces, maps and lists: NaN and infinities by nil.
func finite(v any) any {
	switch v := v.(type) {
	case float64:
		return Number(v)
	case float32:
		return Number(v)
	case []float64:
		return numbers(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = finite(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = finite(x)
		}
		return out
	}
	return v
}

// WriteFile writes a file, mode 0644: under a temporary name in the same folder, synced, renamed, the folder synced.
func WriteFile(path string, data []byte) error {
	f, err := createPending(path)
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("artifact: writing %s: %w", path, err)
	}
	return replace(f, path)
}

// createPending makes the temporary file that becomes path; its folder must exist.
func createPending(path string) (*renameio.PendingFile, error) {
	dir := filepath.Dir(path)
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithPermissions(0o644))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("artifact: creating %s: there is no folder %s: %w", path, dir, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("artifact: creating %s: %w", path, err)
	}
	return f, nil
}

func replace(f *renameio.PendingFile, path string) error {
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("artifact: completing %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder brings a folder's entries to the disk: without it a rename may be lost with the power.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("artifact: syncing %s: %w", dir, err)
	}
	return nil
}
