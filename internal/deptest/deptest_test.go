package deptest_test

import (
	"slices"
	"strings"
	"testing"
)

// find returns the row of a package.
func find(name string) (row, bool) {
	i := slices.IndexFunc(table, func(r row) bool { return match([]string{r.pkg}, name) })
	if i < 0 {
		return row{}, false
	}
	return table[i], true
}

// faults returns all that a graph has against the table.
func faults(g graph) []string {
	var out []string
	house := func(path string) bool { _, ok := short(path); return ok }
	for _, name := range g.house() {
		p := g[long(name)]
		if p.Error != nil {
			out = append(out, name+": "+p.Error.Err)
			continue
		}
		r, ok := find(name)
		if !ok {
			out = append(out, name+" has no row in the table: say what it may import")
			continue
		}
		for _, path := range p.Imports {
			if other, ok := short(path); ok && !slices.Contains(r.house, other) {
				out = append(out, name+" may not import "+other)
			}
			if path == "testing" && !slices.Contains(testPackages, name) {
				out = append(out, name+" imports package testing outside of its tests")
			}
		}
		for _, chain := range g.chains(p.ImportPath, house, func(path string) bool {
			return g.third(path) && !match(r.third, path)
		}) {
			out = append(out, name+" may not bring "+chain)
		}
		if chain, ok := g.chains(p.ImportPath, func(string) bool {
			return true
		}, func(path string) bool { return path == "net/http" })["net/http"]; ok && !r.http {
			out = append(out, name+" may not bring "+chain)
		}
		if slices.Contains(siblings, name) {
			for _, chain := range g.chains(p.ImportPath, house, func(path string) bool {
				other, ok := short(path)
				return ok && other != name && slices.Contains(siblings, other)
			}) {
				out = append(out, name+" may not bring its sibling: "+chain)
			}
		}
		for _, path := range p.tests() {
			if g.third(path) && !match(r.third, path) && !match(testLibraries, path) {
				out = append(out, "a test of "+name+" may not import "+path)
			}
		}
	}
	slices.Sort(out)
	return out
}

// idle returns the rows of the table that no package of a graph has.
func idle(g graph, table []row) []string {
	var out []string
	for _, r := range table {
		if !slices.ContainsFunc(g.house(), func(name string) bool {
			return match([]string{r.pkg}, name)
		}) {
			out = append(out, r.pkg+" has a row in the table, and there is no such package")
		}
	}
	return out
}

// Every package imports what the table says, in every kind of build, and every row is a package's.
func TestImports(t *testing.T) {
	for _, env := range [][]string{
		{"GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1"},
		{"GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0"},
		{"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0"},
		{"GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0"},
	} {
		t.Run(strings.Join(env, " "), func(t *testing.T) {
			g := list(t, env...)
			if len(g.house()) < 2 {
				t.Fatalf("go list knows %d packages of ours", len(g.house()))
			}
			for _, f := range append(faults(g), idle(g, table)...) {
				t.Error(f)
			}
		})
	}
}

// The table itself has floors: rows name rows above them, once each, and test
// libraries are in none.
func TestTable(t *testing.T) {
	above := map[string]bool{}
	for _, r := range table {
		if above[r.pkg] {
			t.Errorf("%s has two rows", r.pkg)
		}
		for _, other := range r.house {
			if !above[other] {
				t.Errorf("%s names %s, which is not on a lower floor", r.pkg, other)
			}
			if slices.Contains(siblings, r.pkg) && slices.Contains(siblings, other) {
				t.Errorf("%s names its sibling %s", r.pkg, other)
			}
		}
		for _, path := range r.third {
			if match(testLibraries, path) {
				t.Errorf("%s may bring the test library %s", r.pkg, path)
			}
		}
		above[r.pkg] = true
	}
}

// The check finds what it is for, and says how it came in.
func TestFaults(t *testing.T) {
	graphOf := func(imports map[string][]string) graph {
		g := graph{"net/http": {ImportPath: "net/http", Standard: true},
			"testing": {ImportPath: "testing", Standard: true}}
		for path, list := range imports {
			g[path] = &pkg{ImportPath: path, Imports: list}
		}
		return g
	}
	const blst = "github.com/supranational/blst/bindings/go"
	for _, c := range []struct {
		name    string
		imports map[string][]string
		want    []string
	}{
		{"all well", map[string][]string{long("merkle"): nil, long("internal/bls"): {blst}, long("auth"): {long("merkle"), long("internal/bls")}}, nil},
		{"third party", map[string][]string{long("merkle"): {"example.com/x"}, "example.com/x": nil},
			[]string{"merkle may not bring merkle → example.com/x"}},
		{"third party by way of ours", map[string][]string{long("auth"): {long("internal/bls")}, long("internal/bls"): {blst, "example.com/x"}, "example.com/x": nil, blst: nil},
			[]string{"auth may not bring auth → internal/bls → example.com/x", "internal/bls may not bring internal/bls → example.com/x"}},
		{"a library's own imports", map[string][]string{long("internal/bls"): {blst}, blst: {"example.com/y"}, "example.com/y": nil}, nil},
		{"net/http through a library", map[string][]string{long("internal/bls"): {blst}, blst: {"net/http"}},
			[]string{"internal/bls may not bring internal/bls → " + blst + " → net/http"}},
		{"higher floor", map[string][]string{long("merkle"): {long("auth")}, long("auth"): nil}, []string{"merkle may not import auth"}},
		{"sibling", map[string][]string{long("remote"): {long("digstore")}, long("digstore"): nil},
			[]string{"remote may not bring its sibling: remote → digstore", "remote may not import digstore"}},
		{"test library", map[string][]string{long("merkle"): {"pgregory.net/rapid", "testing"}, "pgregory.net/rapid": nil},
			[]string{"merkle imports package testing outside of its tests", "merkle may not bring merkle → pgregory.net/rapid"}},
		{"no row", map[string][]string{long("util"): nil}, []string{"util has no row in the table: say what it may import"}},
	} {
		if got := faults(graphOf(c.imports)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A row that no package has is found, one for all packages below included.
func TestIdle(t *testing.T) {
	g := graph{long("merkle"): {ImportPath: long("merkle")},
		long("examples/a"): {ImportPath: long("examples/a")}}
	got := idle(g, []row{{pkg: "merkle"}, {pkg: "examples/..."}, {pkg: "plot"}, {pkg: "node/..."}})
	want := []string{"plot has a row in the table, and there is no such package",
		"node/... has a row in the table, and there is no such package"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
