package vectors_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dig-network/digstore/internal/vectors"
)

// place makes a vector directory with one file and points DIG_VECTORS at it.
func place(t *testing.T, name, content string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DIG_VECTORS", dir)
}

func TestLoad(t *testing.T) {
	place(t, "a/b.json", `{"about":"x","cases":[{"data":"00Ff"}]}`)
	var all struct {
		About string
		Cases []struct{ Data vectors.Hex }
	}
	vectors.Load(t, "a/b.json", &all)
	if all.About != "x" || len(all.Cases) != 1 || all.Cases[0].Data.String() != "00ff" {
		t.Errorf("loaded %+v", all)
	}
	var part struct{ About string }
	vectors.Load(t, "a/b.json", &part) // cases are ignored
	if part.About != "x" {
		t.Errorf("loaded %+v", part)
	}
	if got, want := vectors.Glob(t, "a/*.json"), []string{"a/b.json"}; !slices.Equal(got, want) {
		t.Errorf("Glob = %q, want %q", got, want)
	}
	if got := vectors.Seeds(t, "a/*"); len(got) != 1 || !json.Valid(got[0]) {
		t.Errorf("Seeds = %q", got)
	}
}

// Whatever is missing skips, and only that test.
func TestMissing(t *testing.T) {
	place(t, "here.json", "{}")
	nowhere := filepath.Join(t.TempDir(), "gone")
	for _, c := range []struct {
		name string
		use  func(*testing.T)
	}{
		{"file", func(t *testing.T) { vectors.File(t, "gone.json") }},
		{"glob", func(t *testing.T) { vectors.Glob(t, "*.bin") }},
		{"dir", func(t *testing.T) { t.Setenv("DIG_VECTORS", nowhere); vectors.Dir(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() {
				if !t.Skipped() {
					t.Error("was not skipped")
				}
			})
			c.use(t)
		})
	}
	t.Setenv("DIG_VECTORS", nowhere)
	if got := vectors.Seeds(t, "*"); got != nil {
		t.Errorf("Seeds = %q without vectors", got)
	}
}

func TestMode(t *testing.T) {
	for _, c := range []struct {
		env        string
		long, real bool
	}{
		{"", false, false}, {"long", true, false}, {"real,long", true, true}, {"longer", false, false},
	} {
		t.Setenv("DIG_TEST", c.env)
		if l, r := vectors.Long(t), vectors.Real(t); l != c.long || r != c.real {
			t.Errorf("DIG_TEST=%s: long %v real %v", c.env, l, r)
		}
	}
}

func TestPart(t *testing.T) {
	for _, c := range []struct {
		mode, env   string
		part, parts int
	}{
		{"", "2/4", 0, 1}, {"long", "1/4", 0, 4}, {"long", "4/4", 3, 4}, {"long", "all", 0, 1},
	} {
		t.Setenv("DIG_TEST", c.mode)
		t.Setenv("DIG_TEST_PART", c.env)
		if part, parts := vectors.Part(t); part != c.part || parts != c.parts {
			t.Errorf("DIG_TEST=%s DIG_TEST_PART=%s: %d of %d", c.mode, c.env, part, parts)
		}
	}
	t.Setenv("DIG_TEST_PART", "")
	if part, parts := vectors.Part(t); part < 0 || part > 3 || parts != 4 {
		t.Errorf("without DIG_TEST_PART: %d of %d", part, parts)
	}
}

func TestInput(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"kind":"repeat","byte":7,"length":3}`, "070707"},
		{`{"kind":"repeat","byte":7,"length":1,"more":1}`, "07"},
		{`{"kind":"xorshift64","seed":"0000000000000001","length":4}`, "400c6e55"},
		{`{"kind":"concat","parts":[{"kind":"repeat","byte":1,"length":1},{"kind":"repeat","byte":2,"length":2}]}`, "010202"},
	} {
		var in vectors.Input
		if err := json.Unmarshal([]byte(c.text), &in); err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if got := vectors.Hex(in).String(); got != c.want {
			t.Errorf("%s = %s, want %s", c.text, got, c.want)
		}
	}
	for _, text := range []string{
		`{"kind":"zeros","length":1}`, `{"kind":"repeat","byte":1,"length":-1}`,
		`{"kind":"repeat","byte":1,"length":4000000000}`, `{"kind":"xorshift64","seed":"01","length":1}`,
	} {
		if err := json.Unmarshal([]byte(text), new(vectors.Input)); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}

// recorder is a test that may have failed, and keeps what it logs.
type recorder struct {
	testing.TB
	failed bool
	log    string
}

func (r *recorder) Helper()      {}
func (r *recorder) Failed() bool { return r.failed }
func (r *recorder) Logf(format string, args ...any) {
	r.log += fmt.Sprintf(format, args...)
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		failed          bool
		passed, skipped int
		want            string
	}{
		{false, 3, 1, "vectors f: 3 passed, 1 skipped"},
		{false, 0, 0, "vectors f: skipped, for it has no case"},
		{true, 3, 1, "vectors f: 0 of 3 counted as passed, for the test has failed; 1 skipped"},
	} {
		r := &recorder{failed: c.failed}
		vectors.Count(r, "f", c.passed, c.skipped)
		if r.log != c.want {
			t.Errorf("logged %q, want %q", r.log, c.want)
		}
	}
}
