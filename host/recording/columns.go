package recording

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// openTable reads the first line. need are the columns that must be there, may those that may.
func openTable(path string, in io.Reader, need, may []string, names map[string]string) (*table, error) {
	t := &table{columns: map[string]int{}, err: &Error{File: path}}
	text := bufio.NewReaderSize(in, 1<<16)
	// Nothing is wrong with a file that is shorter.
	begin, err := text.Peek(1 << 12)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err.add("%s", unread(err))
		return nil, t.err
	}
	if mark := []byte("\ufeff"); bytes.HasPrefix(begin, mark) {
		if _, err := text.Discard(len(mark)); err != nil {
			t.err.add("%s", unread(err))
			return nil, t.err
		}
		begin = begin[len(mark):]
	}
	if not := notText(begin); not != "" {
		t.err.add("%s", not)
		return nil, t.err
	}
	t.csv = csv.NewReader(text)
	t.csv.Comma = separator(begin)
	// A tab is white space too.
	t.csv.ReuseRecord, t.csv.TrimLeadingSpace = true, t.csv.Comma != '\t'
	first, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		t.err.add("it is empty: a line of names is needed, %s", strings.Join(need, ","))
		return nil, t.err
	}
	if err != nil {
		t.err.add("%s", unread(err))
		return nil, t.err
	}
	t.place(first, need, may, names)
	return t, t.err.err()
}

// place finds the columns in the line of their names.
func (t *table) place(first, need, may []string, names map[string]string) {
	have := make([]string, len(first))
	for i, n := range first {
		have[i] = strings.TrimSpace(n)
	}
	var missing []string
	for _, column := range append(slices.Clone(need), may...) {
		name, other := names[column]
		if !other {
			name = column
		}
		i := slices.Index(have, name)
		switch {
		case i >= 0 && slices.Contains(have[i+1:], name):
			t.err.add("line 1: the column %q is there twice", name)
		case i >= 0:
			t.columns[column] = i
		case other:
			hint := ""
			if h := param.DidYouMean(name, have); h != "" {
				hint = " (" + h + ")"
			}
			t.err.add("--column %s=%s: there is no column %q, the columns are %s%s", column, name, name, short(have), hint)
		case slices.Contains(need, column):
			hint := param.DidYouMean(name, have)
			if hint == "" {
				missing = append(missing, column)
				continue
			}
			t.err.add("line 1: there is no column %q, the columns are %s (%s)", name, short(have), hint)
		}
	}
	if len(missing) == 0 {
		return
	}
	quoted := make([]string, len(missing))
	for i, m := range missing {
		quoted[i] = fmt.Sprintf("%q", m)
	}
	t.err.add("line 1: there is no column %s, the columns are %s (another name for one is given by --column %s=NAME)", strings.Join(quoted, " and no "), short(have), missing[0])
}

func short(names []string) string { return fmt.Sprintf("%.200s", few(names)) }

// separator is what stands between the values of a table by its first line: a comma, or a semicolon or tab where there are more of these.
func separator(begin []byte) rune {
	line, _, _ := bytes.Cut(begin, []byte("\n"))
	out, most := ',', bytes.Count(line, []byte(","))
	for _, other := range ";\t" {
		if n := bytes.Count(line, []byte(string(other))); n > most {
			out, most = other, n
		}
	}
	return out
}

// notText says what a file is that is no table, by how it begins; it is empty where it may be one.
func notText(begin []byte) string {
	const archive = "spikes in an archive are read from a file whose name ends with .npz"
	switch {
	case bytes.HasPrefix(begin, []byte("\x93NUMPY")):
		return "it is a single NumPy array: an archive is needed, as numpy.savez(\"FILE.npz\", spikes=...) makes it, or a table of text"
	case bytes.HasPrefix(begin, []byte("PK\x03\x04")):
		return "it is a zip archive, no table of text: " + archive
	case bytes.HasPrefix(begin, []byte("\x89HDF\r\n")):
		return "it is an HDF5 file, no table of text: a data set of this program goes into an experiment as it is, others can be saved as a NumPy archive (.npz)"
	}
	// A character may be cut in two at the end.
	whole := begin
	for range utf8.UTFMax {
		if utf8.Valid(whole) || len(whole) == 0 {
			break
		}
		whole = whole[:len(whole)-1]
	}
	if bytes.IndexByte(begin, 0) >= 0 || !utf8.Valid(whole) {
		return "it is no table of text in UTF-8, and its name does not end with .npz, as that of a NumPy archive does"
	}
	return ""
}

// unread says why a line cannot be read.
func unread(err error) string {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return err.Error()
	}
	if errors.Is(err, csv.ErrQuote) || errors.Is(err, csv.ErrBareQuote) {
		return fmt.Sprintf("line %d, column %d: a quotation mark is open or out of place", parse.Line, parse.Column)
	}
	return fmt.Sprintf("line %d, column %d: %v", parse.Line, parse.Column, parse.Err)
}
