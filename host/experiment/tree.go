package experiment

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may be at most. The parser recurses once a level and takes quadratic time in the number of keys; these bounds are far
// beyond any experiment and keep a hostile file from costing more than a second.
const (
	maxBytes = 256 << 10
	maxKeys  = 10000
	maxLine  = 8192
	maxDepth = 16
	// A text of this length fits in a line even where each of its bytes must be escaped.
	maxText = 1024
	maxKey  = 256
)

type kind uint8

const (
	scalar kind = iota
	null
	sequence
	mapping
)

// node is one value of the file with its place. The tree has no anchors, aliases, tags or merge keys.
type node struct {
	kind kind
	// value of a scalar: bool, int64, float64, string, or uint64 where int64 is too small.
	value   any
	items   []*node
	entries []entry
	at      position
}

type entry struct {
	key   string
	at    position
	value *node
}

func (n *node) get(key string) *node {
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// reader turns text into a tree and collects what is wrong with it.
type reader struct {
	file string
	// set is the override that the text is the value of, path its path; empty for the file itself.
	set, path string
	problems  []Problem
}

func (r *reader) position(p *token.Position) position {
	if r.set != "" || p == nil {
		return position{line: 1, column: 1, set: r.set}
	}
	return position{line: p.Line, column: p.Column}
}

func (r *reader) report(at position, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: at.line, Column: at.column, Set: at.set, Path: join(r.path, path), Message: fmt.Sprintf(format, args...),
	})
}

// read returns the tree of the text, nil where it is empty or something kept it from being read; then there are problems.
func (r *reader) read(text string) (root *node) {
	text = strings.TrimPrefix(text, "\ufeff")
	if !r.readable(text) {
		return nil
	}
	// The parser is not ours: should it panic on a file, that file is refused and the host lives.
	defer func() {
		if p := recover(); p != nil {
			root = nil
			r.report(position{set: r.set}, "", "is not YAML that can be read")
		}
	}()
	tokens := lexer.Tokenize(text)
	if !r.plain(tokens) {
		return nil
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, message := position{set: r.set}, err.Error()
		var y yaml.Error
		if errors.As(err, &y) {
			message = y.GetMessage()
			if t := y.GetToken(); t != nil {
				at = r.position(t.Position)
			}
		}
		if strings.Contains(message, "'\t'") {
			message = "a tab cannot stand here: indent with spaces"
		}
		r.report(at, "", "is not YAML: %s", short(message, 200))
		return nil
	}
	var bodies []ast.Node
	for _, d := range f.Docs {
		if d.Body != nil {
			bodies = append(bodies, d.Body)
		}
	}
	if len(bodies) == 0 {
		return nil
	}
	if len(bodies) > 1 {
		r.report(r.position(start(bodies[1])), "", "a second document begins here: one experiment a file is allowed")
		return nil
	}
	return r.convert(bodies[0], "", 0)
}

// readable checks what the lexer should never see.
func (r *reader) readable(text string) bool {
	if len(text) > maxBytes {
		r.report(position{set: r.set}, "", "%d bytes: at most %d are allowed", len(text), maxBytes)
		return false
	}
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		r.report(position{set: r.set}, "", "is UTF-16: text in UTF-8 is needed")
		return false
	}
	line := 0
	for l := range strings.Lines(text) {
		line++
		if i := invalid(l); i >= 0 {
			at := &token.Position{Line: line, Column: utf8.RuneCountInString(l[:i]) + 1}
			r.report(r.position(at), "", "the byte 0x%02X is no text in UTF-8", l[i])
			return false
		}
		if len(l) > maxLine {
			r.report(r.position(&token.Position{Line: line, Column: 1}), "", "a line of %d bytes: at most %d are allowed", len(l), maxLine)
			return false
		}
		for i, c := range l {
			if (c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f || c == 0x85 || c == 0x2028 || c == 0x2029 || c == 0xfeff {
				r.report(r.position(&token.Position{Line: line, Column: utf8.RuneCountInString(l[:i]) + 1}), "", "the control character U+%04X is not allowed", c)
				return false
			}
		}
	}
	return true
}

// invalid is where text ceases to be UTF-8, -1 where it does not.
func invalid(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i, c := range s {
		if c == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

// plain refuses what makes small files large or deep, before anything recurses.
func (r *reader) plain(tokens token.Tokens) bool {
	before := len(r.problems)
	depth, onLine, line, keys := 0, 0, 0, 0
	for _, t := range tokens {
		at := r.position(t.Position)
		switch t.Type {
		case token.AnchorType, token.AliasType:
			r.report(at, "", "anchors and aliases are not allowed: write the value out")
		case token.TagType:
			r.report(at, "", "tags such as %s are not allowed", t.Value)
		case token.MergeKeyType:
			r.report(at, "", "merge keys are not allowed: write the values out")
		case token.DirectiveType:
			r.report(at, "", "directives are not allowed")
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			if t.Position != nil && t.Position.Line != line {
				line, onLine = t.Position.Line, 0
			}
			onLine++
		case token.MappingValueType:
			keys++
		}
		if keys > maxKeys {
			r.report(at, "", "more than %d keys", maxKeys)
			return false
		}
		if depth > maxDepth || onLine > maxDepth {
			r.report(at, "", "is nested more than %d deep", maxDepth)
			return false
		}
	}
	return len(r.problems) == before
}

// start is where a node begins: a block mapping at its first key.
func start(n ast.Node) *token.Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return start(n.Key)
	case *ast.MappingKeyNode:
		if n.Value != nil {
			return start(n.Value)
		}
	}
	if t := n.GetToken(); t != nil {
		return t.Position
	}
	return nil
}

func (r *reader) convert(n ast.Node, path string, depth int) *node {
	out := &node{at: r.position(start(n))}
	if depth > maxDepth {
		r.report(out.at, path, "is nested more than %d deep", maxDepth)
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.kind = mapping
		for _, v := range n.Values {
			r.entry(out, v, path, depth)
		}
	case *ast.MappingValueNode:
		out.kind = mapping
		r.entry(out, n, path, depth)
	case *ast.SequenceNode:
		out.kind = sequence
		for i, v := range n.Values {
			if v == nil {
				out.items = append(out.items, &node{kind: null, at: out.at})
				continue
			}
			out.items = append(out.items, r.convert(v, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	case *ast.NullNode:
		out.kind = null
	case *ast.BoolNode:
		out.value = n.Value
	case *ast.IntegerNode:
		out.value = n.Value
		if n.Token != nil {
			r.decimal(out.at, path, n.Token.Value)
		}
		if u, ok := n.Value.(uint64); ok && u <= math.MaxInt64 {
			out.value = int64(u)
		}
	case *ast.FloatNode:
		out.value = n.Value
	case *ast.InfinityNode:
		out.value = n.Value
	case *ast.NanNode:
		out.value = math.NaN()
	case *ast.LiteralNode:
		out.value = n.Value.Value
		r.bounded(out.at, path, n.Value.Value)
	case *ast.StringNode:
		out.value = n.Value
		r.bounded(out.at, path, n.Value)
		if n.Token != nil && n.Token.Type == token.StringType {
			r.decimal(out.at, path, n.Value)
			out.value = plainScalar(n.Value)
		}
	default:
		r.report(out.at, path, "%s is not allowed here", strings.ToLower(n.Type().String()))
	}
	return out
}

func (r *reader) bounded(at position, path, text string) {
	if len(text) > maxText {
		r.report(at, path, "a text of %d bytes: at most %d are allowed", len(text), maxText)
	}
}

func (r *reader) entry(into *node, v *ast.MappingValueNode, path string, depth int) {
	at := r.position(start(v.Key))
	var key string
	switch k := v.Key.(type) {
	case *ast.StringNode:
		key = k.Value
	case *ast.MappingKeyNode:
		if s, ok := k.Value.(*ast.StringNode); ok {
			key = s.Value
		}
	default:
		if t := v.Key.GetToken(); t != nil {
			key = t.Value
		}
	}
	if key == "" {
		r.report(at, path, "a key that is a name is needed")
		return
	}
	if len(key) > maxKey {
		r.report(at, path, "a key of %d bytes: at most %d are allowed", len(key), maxKey)
		return
	}
	for _, e := range into.entries {
		if e.key == key {
			r.report(at, join(path, key), "is given twice, first at line %d", e.at.line)
			return
		}
	}
	value := &node{kind: null, at: at}
	if v.Value != nil {
		value = r.convert(v.Value, join(path, key), depth+1)
		if value.kind == null {
			value.at = at
		}
	}
	into.entries = append(into.entries, entry{key, at, value})
}

// leadingZero is a whole number that versions of YAML read differently: 010 is ten in YAML 1.2 and eight in 1.1, to which the parser keeps.
var leadingZero = regexp.MustCompile(`^([-+]?)0+([0-9][0-9_]*)$`)

func (r *reader) decimal(at position, path, text string) {
	if m := leadingZero.FindStringSubmatch(text); m != nil {
		eight := ""
		if !strings.ContainsAny(m[2], "89") {
			eight = fmt.Sprintf(", %s0o%s in base eight", m[1], m[2])
		}
		r.report(at, path, "%s is not allowed, which is read in base ten or eight: write %s%s%s, or as text \"%s\" in quotes", text, m[1], m[2], eight, text)
	}
}

// floatForm is a float in YAML's core schema; the parser takes 1e-3 for a string.
var floatForm = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// Value reads a value as the experiment's file has it, e.g. of an override: bool, int64, uint64, float64, string, []any or map[string]any, nil for null or nothing. An error says what cannot be read.
func Value(text string) (any, error) {
	r := &reader{}
	n := r.read(text)
	if len(r.problems) > 0 {
		return nil, errors.New(r.problems[0].Message)
	}
	if n == nil {
		return nil, nil
	}
	return n.any(), nil
}

// plainScalar is the value of an unquoted word that the lexer took for a string.
func plainScalar(s string) any {
	if !floatForm.MatchString(s) {
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return s
	}
	return f
}
