package oneline_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/oneline"
)

// Names, messages and excerpts have no hidden characters, and quoted names can be read back.
func TestText(t *testing.T) {
	for _, c := range []struct{ in, name, message, excerpt string }{
		{"página/日本.html", "página/日本.html", "página/日本.html", "página/日本.html"},
		{"a\x1b[2J", `"a\x1b[2J"`, `a\x1b[2J`, "a [2J"},
		{"a\nb\r\nc\td", `"a\nb\r\nc\td"`, "a b c d", "a b  c d"},
		{"evil\u202etxt", `"evil\u202etxt"`, `evil\u202etxt`, "evil txt"},
		{"a\x7f\u009b31m", `"a\x7f\u009b31m"`, `a\x7f\u009b31m`, "a  31m"},
		{"a\xffb", `"a\xffb"`, `a\xffb`, "a\ufffdb"},
		{`"a"`, `"\"a\""`, `"a"`, `"a"`},
		{"\u2800\U000e0041x", `"\u2800\U000e0041x"`, `\u2800\U000e0041x`, "x"},
		{"❤️ größe ", "❤️ größe ", "❤️ größe ", "❤️ größe"},
		{"", "", "", ""},
	} {
		name, message := oneline.Name(c.in), oneline.Message(c.in)
		excerpt := oneline.Excerpt(c.in, 100)
		if name != c.name || message != c.message || excerpt != c.excerpt {
			t.Errorf("%q: name %s, message %s, excerpt %s; want %s, %s, %s", c.in, name, message, excerpt,
				c.name, c.message, c.excerpt)
		}
		for _, text := range []string{name, message, excerpt} {
			if oneline.HasHidden(text) {
				t.Errorf("%q became %q, which has hidden characters", c.in, text)
			}
		}
		if back, err := strconv.Unquote(name); strings.HasPrefix(name, `"`) &&
			(err != nil || back != c.in) {
			t.Errorf("%s unquotes to %q, %v; want %q", name, back, err, c.in)
		}
	}
}

// An excerpt is cut at a number of bytes, also within a character.
func TestExcerpt(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcde…"}, {"aé", 2, "a\ufffd…"}, {"x", 0, "…"}} {
		if got := oneline.Excerpt(c.in, c.n); got != c.want {
			t.Errorf("%q of at most %d bytes is %q, want %q", c.in, c.n, got, c.want)
		}
	}
}
