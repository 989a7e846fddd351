package deptest_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/docs"
)

// foreign matches references to documents that are not in the repository.
var foreign = regexp.MustCompile(`(?i)\bdecisions? \d|\b(remote-protocol|store-format|plot-and-proofs|` +
	`chain-writing)\b|\bnode\.md\b|\b(architecture|chain) §?\d|\bseed 00\d|\.\./shared`)

var (
	commentBreak = regexp.MustCompile(`\n[ \t]*//[ \t]*`)
	link         = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	// citation is a document, and the sections that follow its name.
	citation = regexp.MustCompile(`((?:[a-z0-9.]+/)*[A-Z]+\.md)\b` +
		"`?((?:,? (?:section |§)?" + number + `)(?:(?:, | and | to | or )§?` + number + `)*)?`)
	own     = regexp.MustCompile(`§(` + number + `)`)
	numbers = regexp.MustCompile(number)
)

const number = `\d+(?:\.\d+)*`

// fixtures is the file that has wrong citations for TestCitationFaults.
const fixtures = "internal/deptest/citations_test.go"

// A citer checks what one file cites.
type citer struct {
	top    string // the root of the repository
	name   string // of the file, from the root, with slashes
	faults []string
}

func (c *citer) fault(what string) { c.faults = append(c.faults, c.name+": "+what) }

// find returns the path of a document that the file names: in the folder of the file, or in the
// nearest folder above it.
func (c *citer) find(name string) string {
	for dir := filepath.Dir(filepath.FromSlash(c.name)); ; dir = filepath.Dir(dir) {
		path := filepath.Join(c.top, dir, filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if dir == "." {
			return ""
		}
	}
}

// check checks every citation of a text, and returns the text without them.
func (c *citer) check(text string) string {
	return citation.ReplaceAllStringFunc(text, func(match string) string {
		parts := citation.FindStringSubmatch(match)
		path := c.find(parts[1])
		if path == "" {
			// A test that reads a document of another package names it alone in its messages.
			message := strings.HasSuffix(c.name, "_test.go") && !strings.Contains(parts[1], "/")
			if !message {
				c.fault("there is no document " + parts[1])
			}
			return ""
		}
		c.sections(path, parts[1], numbers.FindAllString(parts[2], -1))
		return ""
	})
}

// sections checks that a document has sections of those numbers.
func (c *citer) sections(path, name string, wanted []string) {
	if len(wanted) == 0 {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		c.fault(err.Error())
		return
	}
	have := docs.Sections(string(text))
	for _, n := range wanted {
		if _, ok := have[n]; !ok {
			c.fault(name + " has no section " + n)
		}
	}
}

// source checks a Go file.
func (c *citer) source(text string) {
	text = commentBreak.ReplaceAllString(text, " ")
	c.check(text)
	if !strings.HasSuffix(c.name, "_test.go") {
		c.foreign(text)
	}
}

// document checks a document: its links, what it cites, and its references to own sections.
func (c *citer) document(text string) {
	c.foreign(text)
	plain := strings.ReplaceAll(text, "\n", " ")
	plain = link.ReplaceAllStringFunc(plain, func(match string) string {
		target := link.FindStringSubmatch(match)[1]
		u, err := url.Parse(target)
		if err != nil || u.Scheme != "" || u.Path == "" {
			return ""
		}
		if c.find(u.Path) == "" {
			c.fault("the link to " + target + " leads nowhere")
			return ""
		}
		return u.Path
	})
	plain = c.check(plain)
	var wanted []string
	for _, match := range own.FindAllStringSubmatch(plain, -1) {
		wanted = append(wanted, match[1])
	}
	c.sections(filepath.Join(c.top, filepath.FromSlash(c.name)), c.name, wanted)
}

func (c *citer) foreign(text string) {
	for _, match := range foreign.FindAllString(text, -1) {
		c.fault("it refers to " + match + ", which is not in the repository")
	}
}

// citations returns the faults of all files below a directory.
func citations(top string) (faults []string, files int, err error) {
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != top
		if d.IsDir() && (hidden || d.Name() == "testdata") {
			return fs.SkipDir
		}
		ext := filepath.Ext(path)
		if d.IsDir() || ext != ".go" && ext != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		c := &citer{top: top, name: filepath.ToSlash(name)}
		if c.name == fixtures {
			return nil
		}
		if ext == ".md" {
			c.document(string(text))
		} else {
			c.source(string(text))
		}
		faults = append(faults, c.faults...)
		files++
		return nil
	})
	return faults, files, err
}

// Code and documents cite documents of the repository, and sections that these have.
func TestCitations(t *testing.T) {
	faults, files, err := citations(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
	if files < 100 {
		t.Errorf("%d files were checked", files)
	}
}

// The check finds what it is for.
func TestCitationFaults(t *testing.T) {
	files := map[string]string{
		"a/FORMAT.md": "# A\n\n## 1. One\n\nsee §1.2 and §3\n\n### 1.2 Two\n\n[b](../b/LAYOUT.md) §9, [c](c.md)\n",
		"b/LAYOUT.md": "## 9. Nine\n",
		"a/good.go":   "// a/FORMAT.md\n// 1.2 and 1 and FORMAT.md §1, b/LAYOUT.md 9\n",
		"a/bad.go":    "// a/FORMAT.md 7, b/LAYOUT.md 9 to 10 and NONE.md 1 (decision\n// 12)\n",
		"a/a_test.go": "// store-format 3\n",
		"a/split.go":  "\t// see a/FORMAT.md\n\t// 8.1, 1.2 and\n\t// 8.2\n",
	}
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err := citations(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a/FORMAT.md: a/FORMAT.md has no section 3",
		"a/FORMAT.md: the link to c.md leads nowhere",
		"a/bad.go: a/FORMAT.md has no section 7",
		"a/bad.go: b/LAYOUT.md has no section 10",
		"a/bad.go: it refers to decision 1, which is not in the repository",
		"a/bad.go: there is no document NONE.md",
		"a/split.go: a/FORMAT.md has no section 8.1",
		"a/split.go: a/FORMAT.md has no section 8.2",
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
