package deptest_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxFunction = 80  // lines of a function, without tables
	maxNesting  = 4   // nested if, for, switch and select statements
	maxLine     = 100 // characters of a line, without tables and raw strings
)

// tooLarge lists the functions that exceed maxFunction or maxNesting and are not split yet: the
// folder of the package and the name.
var tooLarge = map[string]bool{
	"internal/gcmsiv.sub":                    true,
	"internal/tools/gcmsivasm.polyvalAVX512": true,
}

// longLines is how many lines above maxLine each folder at the top may still have. The numbers only
// get smaller.
var longLines = map[string]int{
	"node":   24,
	"remote": 3,
}

// A source is a parsed Go file.
type source struct {
	fset *token.FileSet
	file *ast.File
	text string
}

func parseSource(name, text string) (*source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	return &source{fset, file, text}, err
}

func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

// tables returns the inner lines of array, slice and map literals, and of raw strings. With funcs
// false, it leaves out literals that have functions.
func (s *source) tables(within ast.Node, funcs bool) map[int]bool {
	lines := make(map[int]bool)
	ast.Inspect(within, func(n ast.Node) bool {
		first, last := 0, 0
		switch n := n.(type) {
		case *ast.CompositeLit:
			_, isArray := n.Type.(*ast.ArrayType)
			_, isMap := n.Type.(*ast.MapType)
			if (isArray || isMap) && (funcs || !hasFunction(n)) {
				first, last = s.line(n.Lbrace)+1, s.line(n.Rbrace)-1
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING && n.Value[0] == '`' {
				first, last = s.line(n.Pos()), s.line(n.End())
			}
		}
		for i := first; i <= last && last > 0; i++ {
			lines[i] = true
		}
		return true
	})
	return lines
}

func hasFunction(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		_, ok := n.(*ast.FuncLit)
		found = found || ok
		return !found
	})
	return found
}

// nesting returns how deep statements of these kinds are nested. An else branch is as deep as its
// if, and the body of a function literal begins at 0.
func nesting(n ast.Node) (deepest int) {
	ast.Inspect(n, func(inner ast.Node) bool {
		if inner == nil || inner == n {
			return true
		}
		depth := 0
		switch inner := inner.(type) {
		case *ast.IfStmt:
			depth = 1 + nesting(inner.Body)
			if inner.Else != nil {
				depth = max(depth, nesting(&ast.BlockStmt{List: []ast.Stmt{inner.Else}}))
			}
		case *ast.ForStmt:
			depth = 1 + nesting(inner.Body)
		case *ast.RangeStmt:
			depth = 1 + nesting(inner.Body)
		case *ast.SwitchStmt:
			depth = 1 + nesting(inner.Body)
		case *ast.TypeSwitchStmt:
			depth = 1 + nesting(inner.Body)
		case *ast.SelectStmt:
			depth = 1 + nesting(inner.Body)
		default:
			return true
		}
		deepest = max(deepest, depth)
		return false
	})
	return deepest
}

// large returns the functions of a file that exceed a limit, with the reason.
func (s *source) large() map[string]string {
	found := make(map[string]string)
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		lines := s.line(f.End()) - s.line(f.Pos()) + 1 - len(s.tables(f.Body, false))
		depth := nesting(f.Body)
		if lines > maxFunction || depth > maxNesting {
			found[f.Name.Name] = fmt.Sprintf("%d lines, nested %d deep", lines, depth)
		}
	}
	return found
}

// long returns the numbers of the lines of a file that are too long.
func (s *source) long() (numbers []int) {
	exempt := s.tables(s.file, true)
	for i, line := range strings.Split(s.text, "\n") {
		if utf8.RuneCountInString(line) > maxLine && !exempt[i+1] {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// generated reports whether a file is made by a program.
func (s *source) generated() bool { return ast.IsGenerated(s.file) }

// Functions are short and flat, and lines are short, except those listed above.
func TestSizes(t *testing.T) {
	long := make(map[string]int)
	stale := make(map[string]bool)
	for name := range tooLarge {
		stale[name] = true
	}
	files := 0
	err := eachSource(filepath.Join("..", ".."), func(name string, s *source) {
		files++
		large := s.large()
		if strings.HasSuffix(name, "_test.go") {
			large = nil // a scenario of a test may be long
		}
		for function, why := range large {
			key := filepath.ToSlash(filepath.Dir(name)) + "." + function
			delete(stale, key)
			if !tooLarge[key] {
				t.Errorf("%s: func %s: %s; want at most %d lines, nested %d deep",
					name, function, why, maxFunction, maxNesting)
			}
		}
		top, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		long[top] += len(s.long())
		for _, n := range s.long() {
			if longLines[top] == 0 {
				t.Logf("%s:%d is longer than %d characters", name, n, maxLine)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for top, n := range long {
		switch limit := longLines[top]; {
		case n > limit:
			t.Errorf("%s has %d lines of more than %d characters, want at most %d; new ones are found by: "+
				"git diff main | grep -E '^\\+.{%d,}'", top, n, maxLine, limit, maxLine+1)
		case n < limit:
			t.Logf("%s has %d lines of more than %d characters: lower its limit of %d",
				top, n, maxLine, limit)
		}
	}
	for name := range stale {
		t.Logf("%s is not too large any more: remove it from the list", name)
	}
	if files < 100 {
		t.Errorf("%d files were checked", files)
	}
}

// eachSource calls do for each Go file below a folder that is not generated.
func eachSource(top string, do func(name string, s *source)) error {
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != top
		if d.IsDir() && (hidden || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, err := parseSource(path, string(text))
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err == nil && !s.generated() {
			do(name, s)
		}
		return err
	})
}

// The checks find what they are for.
func TestSizeFaults(t *testing.T) {
	many := strings.Repeat("\tf()\n", maxFunction-1)
	rows := strings.Repeat("\t\t1,\n", maxFunction)
	deep := strings.Repeat("if true {\n", maxNesting+1) + strings.Repeat("}\n", maxNesting+1)
	wide := "// " + strings.Repeat("x", maxLine-2) + "\n"
	for _, c := range []struct {
		name, text string
		large      bool
		long       []int
	}{
		{"as long as allowed", "func f() {\n" + many[:len(many)-5] + "}\n", false, nil},
		{"one line more", "func f() {\n" + many + "}\n", true, nil},
		{"a table", "func f() {\n\t_ = []int{\n" + rows + "\t}\n}\n", false, nil},
		{"a table of functions", "func f() {\n\t_ = []func(){func() {\n" + many + "\t}}\n}\n", true, nil},
		{"nested", "func f() {\n" + deep + "}\n", true, nil},
		{"else if", "func f() {\n" + strings.Repeat("if true {\n} else ", 6) + "{\n}\n}\n", false, nil},
		{"wide", "\n" + wide + wide[:len(wide)-2] + "\n", false, []int{4}},
		{"wide in a raw string", "const s = `\n" + wide + "`\n", false, nil},
		{"wide in a table", "var s = []string{\n" + wide + "\t\"a\",\n}\n", false, nil},
	} {
		s, err := parseSource("x.go", "package x\n\n"+c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if found := s.large(); (len(found) > 0) != c.large {
			t.Errorf("%s: large functions: %v", c.name, found)
		}
		if found := s.long(); !slices.Equal(found, c.long) {
			t.Errorf("%s: long lines %v, want %v", c.name, found, c.long)
		}
	}
}
