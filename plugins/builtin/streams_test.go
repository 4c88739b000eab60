package builtin

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// stream is a place in the sources where a stream gets its purpose.
type stream struct {
	purpose string
	// open is true where a name follows.
	open bool
	pos  token.Position
}

// sources are the files that a tree of the project is made of.
type sources struct {
	files *token.FileSet
	dirs  map[string][]*ast.File
}

func parseSources(t *testing.T, roots ...string) sources {
	t.Helper()
	s := sources{token.NewFileSet(), map[string][]*ast.File{}}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			// Suites of tests, and other plugins, draw from streams of their own.
			if err == nil && d.IsDir() && slices.Contains([]string{"testdata", "plugintest", "examples"}, d.Name()) {
				return filepath.SkipDir
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(s.files, path, nil, parser.SkipObjectResolution)
			s.dirs[filepath.Dir(path)] = append(s.dirs[filepath.Dir(path)], f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// streams finds all purposes: what is given to package random, or to a parameter or field named purpose.
func (s sources) streams(t *testing.T) []stream {
	t.Helper()
	// takes is the place of a parameter named purpose, by the function's name; what is not exported is of its folder.
	takes := map[string]int{}
	of := func(dir, name string) string {
		if ast.IsExported(name) {
			return name
		}
		return dir + "." + name
	}
	for dir, files := range s.dirs {
		for _, f := range files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				at := 0
				for _, p := range fn.Type.Params.List {
					for _, n := range p.Names {
						if n.Name == "purpose" {
							takes[of(dir, fn.Name.Name)] = at
						}
						at++
					}
				}
			}
		}
	}
	var out []stream
	add := func(e ast.Expr) {
		at := stream{pos: s.files.Position(e.Pos())}
		if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
			at.open, e = true, sum.X
		}
		switch e := e.(type) {
		case *ast.BasicLit:
			text, err := strconv.Unquote(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			at.purpose = text
			out = append(out, at)
		case *ast.Ident:
			if e.Name != "purpose" {
				t.Errorf("%s: the purpose is %s: a literal can be found", at.pos, e.Name)
			}
		case *ast.SelectorExpr:
			if e.Sel.Name != "Purpose" {
				t.Errorf("%s: the purpose is %s: a literal can be found", at.pos, e.Sel.Name)
			}
		default:
			t.Errorf("%s: the purpose is a %T: a literal can be found", at.pos, e)
		}
	}
	for dir, files := range s.dirs {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.KeyValueExpr:
					if k, ok := n.Key.(*ast.Ident); ok && k.Name == "Purpose" {
						add(n.Value)
					}
				case *ast.CallExpr:
					switch fn := n.Fun.(type) {
					case *ast.SelectorExpr:
						pkg, ok := fn.X.(*ast.Ident)
						at, takesOne := takes[of(dir, fn.Sel.Name)]
						switch fromRandom := ok && pkg.Name == "random"; {
						case fromRandom && slices.Contains([]string{"New", "NewSource", "Key"}, fn.Sel.Name):
							add(n.Args[1])
						case ok && pkg.Name == "kernel", fn.Sel.Name == "New", fn.Sel.Name == "NewSource", fn.Sel.Name == "Key":
						case takesOne && at < len(n.Args):
							add(n.Args[at])
						}
					case *ast.Ident:
						if at, ok := takes[of(dir, fn.Name)]; ok && at < len(n.Args) && !slices.Contains([]string{"New", "NewSource", "Key"}, fn.Name) {
							add(n.Args[at])
						}
					}
				}
				return true
			})
		}
	}
	return out
}

// TestStreamsNeverMeet finds every purpose that a random stream has in the sources. No two places share one; all are in this package's documentation; and no two streams have the same key.
func TestStreamsNeverMeet(t *testing.T) {
	found := parseSources(t, "../../sdk", "../../plugins", "../../host", "../../registry").streams(t)
	if len(found) < 16 {
		t.Fatalf("%d streams: %v", len(found), found)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//\t(\S.*?)  `).FindAllSubmatch(doc, -1) {
		documented[string(m[1])] = true
	}
	delete(documented, "purpose")
	seen := map[string]token.Position{}
	for _, s := range found {
		name := s.purpose
		if s.open {
			name += "NAME"
		}
		if was, ok := seen[name]; ok {
			t.Errorf("%q is the purpose in %s and in %s", name, was, s.pos)
		}
		seen[name] = s.pos
		if !documented[name] {
			t.Errorf("%s: %q is not in the table of streams in doc.go", s.pos, name)
		}
	}
	for name := range documented {
		if _, ok := seen[name]; !ok {
			t.Errorf("doc.go has a stream %q that nothing uses", name)
		}
	}

	// What stands for NAME: the weights of every model. None makes a purpose of another.
	purposes := map[string]bool{}
	for _, s := range found {
		if !s.open {
			purposes[s.purpose] = true
			continue
		}
		for name := range weightNames(t) {
			if _, taken := seen[s.purpose+name]; taken || purposes[s.purpose+name] {
				t.Errorf("the weight %s makes the purpose %q of another stream", name, s.purpose+name)
			}
			purposes[s.purpose+name] = true
		}
	}
	keys := map[uint64]string{}
	for _, purpose := range slices.Sorted(maps.Keys(purposes)) {
		for _, seed := range []uint64{0, 1, 2, 3, 100, 1 << 32, 1<<64 - 1} {
			add := func(index ...uint64) {
				k := random.Key(seed, purpose, index...)
				what := fmt.Sprint(seed, " ", purpose, " ", index)
				if was, ok := keys[k]; ok {
					t.Errorf("%s and %s have the same key", was, what)
				}
				keys[k] = what
			}
			add()
			for i := range uint64(600) {
				add(i)
			}
		}
	}
	t.Logf("%d keys of %d purposes differ", len(keys), len(purposes))
}

// weightNames are the names of the weights of all models.
func weightNames(t *testing.T) map[string]bool {
	t.Helper()
	_, spec := flipflop(t, 20, 10)
	r := record(20, 10)
	out := map[string]bool{}
	for _, s := range settings(t, func(s setting) model.Target { return s.target(spec, r.spec) }) {
		m, err := s.factory.Open(t.Context(), s.values, component.Env{Seed: 1, Threads: 1}, s.target(spec, r.spec))
		if err != nil {
			t.Fatal(err)
		}
		w, err := m.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range w.Names() {
			out[name] = true
		}
	}
	return out
}
