package ignore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/vectors"
)

// excluded reports whether the rules of the folder sub exclude a file in it, or a folder above the
// file.
func excluded(rules *List, sub, name string) bool {
	for i := len(sub); i < len(name); i++ {
		if name[i] == '/' && rules.Ignores(name[:i], true) {
			return true
		}
	}
	return rules.Ignores(name, false)
}

// randomText makes a text of parts.
func randomText(r *rand.Rand, parts []string, most int) string {
	var b strings.Builder
	for range 1 + r.IntN(most) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

// TestIgnoreAgreesWithGit makes ignore files of one to three random lines, and compares with git on
// random paths.
func TestIgnoreAgreesWithGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	ignoreFiles := 1000
	if vectors.Long(t) {
		ignoreFiles = 10_000
	}
	tokens := []string{"a", "b", "c", "ab", "*", "*", "**", "***", "**/", "/**", "/", "/", "?", "[ab]",
		"[!a]", "[^b-c]", "[", "]", "[]a]", "[a-]", "[a-c-e]",
		"[[:alpha:]]", "[[:digit:]x]", "[[:no:]]", "[[:alpha]", `[\]]`, `[b-\c]`, "-", "!", "#", `\`, `\*`, `\a`, `\ `, " ", "\t", ".", "\r", "é", "\x00"}
	names := []string{"a", "b", "c", "ab", "abc", "x", "*", "-", "!", "#", "[", "]", `\`, " ", ".", "é", "d", "1"}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	run := func(stdin string, arg ...string) string {
		cmd := exec.Command(git, arg...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
		cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.Output()
		if err != nil && cmd.ProcessState.ExitCode() != 1 { // 1: nothing is ignored
			t.Fatalf("git %v: %v", arg, err)
		}
		return string(out)
	}
	run("", "init", "-q")
	fixed := []string{"*a*a*a*a*a*b", "foo**/bar", "a/**/b", "**/a", "a/**", "**", "/", "//", "!",
		"a\\", "a/ ", "a\\  ", "\ufeffa", "*.b", "a*b/**/*c"}
	texts, rules, queries := []string{}, []*List{}, strings.Builder{}
	paths := map[string]int{}
	for i := range ignoreFiles {
		text := ""
		if i < len(fixed) {
			text = fixed[i]
		} else {
			for range 1 + r.IntN(3) {
				text += randomText(r, tokens, 7) + "\n"
			}
		}
		sub := fmt.Sprintf("d%d/", i)
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, sub, ".gitignore"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		texts, rules = append(texts, text), append(rules, (*List)(nil).With(sub, Parse([]byte(text))))
		for range 12 {
			name := sub
			for k := range 1 + r.IntN(4) {
				if k > 0 {
					name += "/"
				}
				name += randomText(r, names, 3)
			}
			if path.Clean(name) != name || !strings.HasPrefix(name, sub) ||
				strings.HasSuffix(name, "/.git") || strings.Contains(name, "/.git/") {
				continue
			}
			paths[name] = i
			queries.WriteString(name + "\x00")
		}
	}
	ignored := map[string]bool{}
	for name := range strings.SplitSeq(run(queries.String(), "check-ignore", "--no-index", "-z",
		"--stdin"), "\x00") {
		ignored[name] = true
	}
	count, wrong := 0, 0
	for name, i := range paths {
		if ignored[name] {
			count++
		}
		if got := excluded(rules[i], name[:strings.Index(name, "/")+1], name); got != ignored[name] {
			if wrong++; wrong < 20 {
				t.Errorf("%q with %q: ignored %t, git says %t", name, texts[i], got, ignored[name])
			}
		}
	}
	if count < len(paths)/20 {
		t.Errorf("only %d of %d paths are ignored: the test says little", count, len(paths))
	}
	t.Logf("%d paths, %d of them ignored, %d wrong", len(paths), count, wrong)
}

// TestGlobTime matches patterns that take a backtracking matcher exponential time.
func TestGlobTime(t *testing.T) {
	long := strings.Repeat("a", 4000)
	for _, pattern := range []string{
		strings.Repeat("*a", 2000) + "*b", strings.Repeat("**/", 2000) + "b", strings.Repeat("*?", 2000) + "b", strings.Repeat("a**/**", 700) + "b",
		strings.Repeat("**/a/", 300_000) + "b",
	} {
		g, ok := parseGlob(pattern)
		if !ok {
			t.Fatalf("%.20q is no pattern", pattern)
		}
		for _, name := range []string{long, strings.ReplaceAll(long, "aaaa", "aaa/")} {
			start := time.Now()
			if g.match(name) {
				t.Errorf("%.20q matches", pattern)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("%.20q took %v", pattern, d)
			}
		}
	}
}

// FuzzGlob compares the matcher with a simple backtracking one.
func FuzzGlob(f *testing.F) {
	for _, s := range []string{"a*b", "**/a", "a/**/b", "[a-c]?", `\*`, "foo**/bar", "[[:alpha:]]x", "a/**"} {
		f.Add(s, "a/b/foo/bar")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, ok := parseGlob(pattern)
		if !ok || strings.Count(pattern, "*") > 6 || len(name) > 40 || len(pattern) > 40 {
			return
		}
		n := strings.IndexAny(pattern, `*?[\`)
		if n < 0 {
			n = len(pattern)
		}
		want := strings.HasPrefix(name, pattern[:n]) && plainMatch(pattern[n:], name[n:], true)
		if got := g.match(name); got != want {
			t.Errorf("%q, %q: %t, want %t", pattern, name, got, want)
		}
	})
}

// plainMatch is a matcher that follows the manual of gitignore, for well-formed patterns.
func plainMatch(p, name string, first bool) bool {
	if p == "" {
		return name == ""
	}
	switch p[0] {
	case '*':
		rest := strings.TrimLeft(p, "*")
		cross := len(p)-len(rest) > 1 && first && (rest == "" || rest[0] == '/' || strings.HasPrefix(rest, `\/`))
		if cross && rest != "" && rest[0] == '/' && plainMatch(rest[1:], name, true) {
			return true
		}
		for i := 0; i <= len(name); i++ {
			if plainMatch(rest, name[i:], false) {
				return true
			}
			if i < len(name) && name[i] == '/' && !cross {
				return false
			}
		}
		return false
	case '?':
		return name != "" && name[0] != '/' && plainMatch(p[1:], name[1:], false)
	case '[':
		set, n := parseClass(p)
		return name != "" && name[0] != '/' && set.has(name[0]) &&
			plainMatch(p[n:], name[1:], p[n-1] == '/')
	case '\\':
		p = p[1:]
	}
	return name != "" && name[0] == p[0] && plainMatch(p[1:], name[1:], p[0] == '/')
}
