package metamorphic

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/corpus"
)

// Each rule of the model refuses what it is for, and permits the rest.
func TestObserve(t *testing.T) {
	lines := func(text string) (out []line) {
		for i, f := range strings.Fields(text) {
			root, dropped := strings.CutSuffix(f, "-")
			out = append(out, line{uint64(i), root, !dropped})
		}
		return out
	}
	tree := corpus.Tree{"a": []byte("a")}
	for _, c := range []struct {
		name, before, after string
		change              change
		want                string // a part of the error; "" for none
	}{
		{"nothing changed", "a b", "a b", change{}, ""},
		{"a line lost", "a b", "a", change{}, "1 generations, expected 2"},
		{"another root", "a b", "a c", change{}, "expected generation 1, root b"},
		{"dropped", "a b c", "a- b c", change{}, "no longer held"},
		{"gc drops old ones", "a b c", "a- b- c", change{keep: 1}, ""},
		{"gc drops one to be kept", "a b c", "a- b- c", change{keep: 2}, "no longer held"},
		{"gc leaves one", "a b", "a b", change{keep: 1}, ""},
		{"head dropped", "a", "a-", change{keep: 1}, "no longer held"},
		{"new head not held", "a", "a b-", change{appends: true}, "the head, root b, is not held"},
		{"held again", "a- b", "a b", change{holds: true}, ""},
		{"held again without a reason", "a- b", "a b", change{}, "expected it dropped"},
		{"appended", "a", "a b c", change{appends: true}, ""},
		{"appended without a reason", "a", "a b", change{}, "unexpected generation"},
		{"appended twice", "a b", "a b a", change{appends: true}, "twice"},
		{"unknown root", "a", "a x", change{appends: true}, "unexpected generation"},
		{"committed", "a", "a x", change{commits: tree}, ""},
		{"committed twice", "a", "a x y", change{commits: tree}, "unexpected generation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore("s")
			for _, root := range []string{"a", "b", "c"} {
				s.trees[root] = corpus.Tree{"b": []byte(root)}
			}
			r := newReplica("w", s)
			r.lines = lines(c.before)
			err := r.observe(lines(c.after), c.change)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := len(lines(c.after)); len(r.lines) != got {
					t.Fatalf("the model has %d lines, want %d", len(r.lines), got)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if len(r.lines) != len(lines(c.before)) {
				t.Fatal("the model changed with an error")
			}
		})
	}
}

// What a killed command left in the temporary folder is found.
func TestLeftover(t *testing.T) {
	p := &processes{dir: t.TempDir()}
	if err := os.Mkdir(p.temporary(), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"none", "", ""}, {"spool", "bytes", "spool"},
	} {
		if err := os.WriteFile(filepath.Join(p.temporary(), c.name), []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		if got, err := p.leftover(); got != c.want || err != nil {
			t.Errorf("%s: found %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}
