package deptest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A pkg is what go list tells of one package.
type pkg struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	Error        *struct{ Err string }
}

// tests are the imports of the package's tests.
func (p *pkg) tests() []string { return join(p.TestImports, p.XTestImports) }

// A graph is all packages of one build of this module, with all that they import.
type graph map[string]*pkg

// list loads the graph under some settings of the environment.
func list(t *testing.T, env ...string) graph {
	t.Helper()
	lookAround(t)
	cmd := exec.Command("go", "list", "-e", "-deps",
		"-json=ImportPath,Standard,Imports,TestImports,XTestImports,Error", ours+"/...")
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	g := graph{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := d.Decode(p); err == io.EOF {
			return g
		} else if err != nil {
			t.Fatal(err)
		}
		g[p.ImportPath] = p
	}
}

// lookAround opens every directory of the module. go test then knows that its
// result depends on them and does not take it from its cache after a change.
func lookAround(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// house returns the packages of ours, without the module path, sorted.
func (g graph) house() []string {
	var names []string
	for path := range g {
		if name, ok := short(path); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// short cuts the module path off a package of ours.
func short(path string) (name string, ok bool) {
	if path == ours {
		return "", true
	}
	return strings.CutPrefix(path, ours+"/")
}

// long puts it back.
func long(name string) string {
	if name == "" {
		return ours
	}
	return ours + "/" + name
}

// third reports whether the import path is neither ours nor of the standard library.
func (g graph) third(path string) bool {
	if _, ok := short(path); ok || path == "C" {
		return false
	}
	p := g[path]
	return p == nil && strings.Contains(strings.Split(path, "/")[0], ".") || p != nil && !p.Standard
}

// chains returns, for each import path that start reaches and bad says yes to,
// the shortest chain of imports to it. Imports of a package are followed when
// through says yes to it.
func (g graph) chains(start string, through, bad func(path string) bool) map[string]string {
	found := map[string]string{}
	from := map[string]string{start: ""}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		p := g[queue[0]]
		if p == nil || p.ImportPath != start && !through(p.ImportPath) {
			continue
		}
		for _, path := range p.Imports {
			if _, seen := from[path]; seen {
				continue
			}
			from[path] = p.ImportPath
			queue = append(queue, path)
			if bad(path) {
				chain := path
				for at := p.ImportPath; at != ""; at = from[at] {
					chain = at + " → " + chain
				}
				found[path] = strings.ReplaceAll(chain, ours+"/", "")
			}
		}
	}
	return found
}

// match reports whether path is one of the patterns, of which one that ends
// in "/..." stands for all below as well.
func match(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		below, all := strings.CutSuffix(p, "/...")
		return path == p || all && (path == below || strings.HasPrefix(path, below+"/"))
	})
}
