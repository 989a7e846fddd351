package digstore_test

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/digstore"
)

// staged returns the names that StageFS stages.
func staged(t *testing.T, all files, patterns ...string) ([]string, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range all {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	_, s := inMemory(t, nil)
	if err := s.StageFS(context.Background(), fsys, patterns...); err != nil {
		return nil, err
	}
	list, err := s.Staged()
	check(t, err)
	var names []string
	for _, f := range list {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names, nil
}

// TestIgnore: each case is an ignore file, and paths of which those with a minus are ignored. If
// git is installed, its result is compared.
func TestIgnore(t *testing.T) {
	cases := []struct {
		name, ignore string
		paths        string
	}{
		{"plain name at any depth", "foo", "-foo -a/foo -b/foo/b bar foobar"},
		{"anchored", "/foo", "-foo a/foo"},
		{"slash in the middle anchors", "a/foo", "-a/foo b/a/foo"},
		{"directories only", "foo/", "a/foo -foo/x -a/foo.d/foo/x"},
		{"star stops at slashes", "*.log", "-x.log -a/b/x.log x.log.txt"},
		{"star in a path", "a/*.c", "-a/x.c a/b/x.c"},
		{"star alone", "*", "-x -a/b"},
		{"question mark", "a?c", "-abc abbc -x/a.c"},
		{"class", "[a-c]x", "-ax -cx dx"},
		{"negated class", "[!a-c]x", "ax -dx"},
		{"class with a bracket", "[]x]y", "-]y -xy zy"},
		{"named class", "[[:digit:]]z", "-1z az"},
		{"double star in front", "**/foo", "-foo -a/foo -a/b/foo"},
		{"double star behind", "foo/**", "-foo/a -foo/b/c x/foo/a"},
		{"double star in between", "a/**/b", "-a/b -a/x/b -a/x/y/b xa/b"},
		{"comment and blank", "# foo\n\nbar", "foo -bar"},
		{"quoted hash", `\#foo`, "-#foo foo"},
		{"quoted bang", `\!foo`, "-!foo foo"},
		{"trailing spaces", "foo   ", "-foo"},
		{"negation", "*.log\n!keep.log", "-a.log keep.log -d/a.log d/keep.log"},
		{"order counts", "!keep.log\n*.log", "-keep.log"},
		{"what lies in an ignored directory does not come back", "foo/\n!foo/keep", "-foo/keep -foo/x"},
		{"a directory's content, less one", "foo/*\n!foo/keep", "foo/keep -foo/x"},
		{"case counts", "FOO", "foo -FOO"},
		{"quoted star", `a\*`, "-a* ab"},
	}
	git, _ := exec.LookPath("git")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			all := files{".gitignore": c.ignore}
			want := []string{".gitignore"}
			for p := range strings.FieldsSeq(c.paths) {
				name, gone := strings.CutPrefix(p, "-")
				all[name] = "x"
				if !gone {
					want = append(want, name)
				}
			}
			if c.name == "star alone" {
				want = nil
			}
			slices.Sort(want)
			got, err := staged(t, all)
			if want == nil {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("staged %q, %v; want nothing to be there", got, err)
				}
			} else if err != nil || !slices.Equal(got, want) {
				t.Errorf("staged %q, %v, want %q", got, err, want)
			}
			if git == "" {
				return
			}
			dir := t.TempDir()
			write(t, dir, all)
			run := func(arg ...string) string {
				cmd := exec.Command(git, arg...)
				cmd.Dir = dir
				cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
				out, err := cmd.Output()
				check(t, err)
				return string(out)
			}
			run("init", "-q")
			list := strings.FieldsFunc(run("ls-files", "-z", "--others", "--exclude-standard"),
				func(r rune) bool { return r == 0 })
			slices.Sort(list)
			if !slices.Equal(list, want) {
				t.Errorf("git lists %q, the test wants %q", list, want)
			}
		})
	}
}

func TestIgnoreNested(t *testing.T) {
	all := files{
		".gitignore": "*.tmp\n/top\nsub/deep/x", "a.tmp": "", "top": "", "sub/top": "",
		"sub/deep/x": "", "sub/deep/y": "",
		"sub/.gitignore": "!keep.tmp\n/y", "sub/keep.tmp": "", "sub/a.tmp": "", "sub/y": "",
		"sub/deep/keep.tmp": "",
		"dig/.gitignore":    "*", "dig/.digignore": "!*", "dig/x": "",
		".dig/config": "", "sub/.dig/config": "", ".git/HEAD": "",
	}
	want := []string{".gitignore", "dig/.digignore", "dig/.gitignore", "dig/x", "sub/.gitignore",
		"sub/deep/keep.tmp", "sub/deep/y", "sub/keep.tmp", "sub/top"}
	got, err := staged(t, all)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("staged  %q, %v\nwant    %q", got, err, want)
	}
	// A content root is walked by the same rules.
	s, _ := site(t, all, nil)
	r, err := s.Commit(context.Background(), nil, nil)
	check(t, err)
	names, _, err := r.Generation.Names()
	check(t, err)
	if !slices.Equal(names, want) {
		t.Errorf("committed %q\nwant      %q", names, want)
	}
}

func TestStagePatterns(t *testing.T) {
	all := files{"a": "", "b/c": "", "b/d": "", "e.txt": "", "f.txt": "", ".gitignore": "e.txt\nb/d"}
	for _, c := range []struct {
		patterns []string
		want     string // empty: fs.ErrNotExist
	}{
		{nil, ".gitignore a b/c f.txt"},
		{[]string{"."}, ".gitignore a b/c f.txt"},
		{[]string{"b"}, "b/c"},
		{[]string{"b/", "a"}, "a b/c"},
		{[]string{"e.txt"}, "e.txt"},
		{[]string{"*.txt"}, "e.txt f.txt"},
		{[]string{"a", "a"}, "a"},
		{[]string{"b/d", "b"}, "b/c b/d"},
		{[]string{"a", "x"}, ""},
		{[]string{"x*"}, ""},
	} {
		got, err := staged(t, all, c.patterns...)
		if c.want == "" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q: %v, %v; want ErrNotExist", c.patterns, got, err)
			}
			continue
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v; want %q", c.patterns, got, err, c.want)
		}
	}
	if _, err := staged(t, all, "../x"); err == nil {
		t.Error("a path outside was staged")
	}
}

func TestExcludesOption(t *testing.T) {
	s, root := site(t, files{"a": "", "b.bak": "", ".gitignore": "x"}, nil)
	w, err := digstore.Open(root+"/..", &digstore.Options{Excludes: []string{"*.bak"}})
	check(t, err)
	defer w.Close()
	s, err = w.Store(s.Name())
	check(t, err)
	st, err := s.Status(context.Background())
	check(t, err)
	if !slices.Equal(st.Added, []string{".gitignore", "a"}) {
		t.Errorf("added %q", st.Added)
	}
}
