package module_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a golden file of hex.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	text := hex.EncodeToString(got) + "\n"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s has changed: what stores have written would not be read any more", name)
	}
}

// Recipes are kept on disk, so their encoding stays.
func TestRecipeGoldens(t *testing.T) {
	base := sample(t, small(module.Uniform(3000)), "a", "", long, long+long)
	for name, b := range map[string][]byte{
		"ours.hex":    base,
		"foreign.hex": foreign(t, base)["pool of equal chunks"],
	} {
		r, _, err := apart(t, b)
		if err != nil {
			t.Fatal(err)
		}
		enc, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "recipe-"+name, enc)
	}
}

func TestParseRecipeRefuses(t *testing.T) {
	r, _, err := apart(t, sample(t, small(module.None()), "a", long))
	if err != nil {
		t.Fatal(err)
	}
	enc, _ := r.MarshalBinary()
	for n := range enc {
		if _, err := module.ParseRecipe(enc[:n]); !errors.Is(err, module.ErrRecipe) {
			t.Errorf("the first %d of %d bytes are taken", n, len(enc))
		}
	}
	if _, err := module.ParseRecipe(append(bytes.Clone(enc), 0)); err == nil {
		t.Error("a byte more is taken")
	}
	if _, err := module.ParseRecipe(append([]byte{2}, enc[1:]...)); err == nil ||
		!strings.Contains(err.Error(), "version 2") {
		t.Errorf("another version: %v", err)
	}
	var keys [][]byte
	for e := range r.Entries() {
		keys = append(keys, e.Key[:])
	}
	twice := bytes.Replace(enc, keys[1], keys[0], 1)
	if _, err := module.ParseRecipe(twice); bytes.Equal(twice, enc) ||
		!errors.Is(err, module.ErrRecipe) {
		t.Errorf("one key twice: %v", err)
	}
	// A count or a length that nothing stands behind costs no memory.
	if n := grown(func() {
		_, _ = module.ParseRecipe([]byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	}); n > 1<<16 {
		t.Errorf("%d bytes allocated for a recipe of ten", n)
	}
}

func TestMetadataJSON(t *testing.T) {
	var m module.Metadata
	err := json.Unmarshal([]byte(`{"name":"n","version":"","authors":[{"handle":"x"},{"name":"A","contact":"c"}],
		"links":{"a":"b","n":1},"custom":{"z":{"b":1.50,"a":"<>&"}}}`), &m)
	if err != nil {
		t.Fatal(err)
	}
	if m.SchemaVersion != 1 || m.Name != "n" || m.Version != nil || len(m.Authors) != 1 ||
		*m.Authors[0].Contact != "c" || len(m.Links) != 1 {
		t.Errorf("%+v", m)
	}
	if got := string(m.Custom["z"]); got != `{"a":"<>&","b":1.50}` {
		t.Errorf("custom value is %s", got)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var again module.Metadata
	if err := json.Unmarshal(b, &again); err != nil || !equalEncoding(t, &m, &again) {
		t.Errorf("%s reads as %+v, %v", b, again, err)
	}
	bad := module.Metadata{Custom: map[string]json.RawMessage{"x": json.RawMessage("oops")}}
	if _, err := bad.MarshalBinary(); err == nil {
		t.Error("custom text that is no JSON is written")
	}
}

func TestCommitMessage(t *testing.T) {
	m := &module.Metadata{SchemaVersion: 1}
	if s, ok := m.Message(); ok {
		t.Errorf("empty manifest has the message %q", s)
	}
	const text = "fix <b> & \"quotes\" \u2028 \\u003c"
	m.SetMessage(text)
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back module.Metadata
	if err := back.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if s, ok := back.Message(); !ok || s != text {
		t.Errorf("message is %q, %v", s, ok)
	}
	for _, other := range []string{"1", "null", "{}"} {
		m.Custom["message"] = json.RawMessage(other)
		if s, ok := m.Message(); ok {
			t.Errorf("%s is the message %q", other, s)
		}
	}
}

func TestIDText(t *testing.T) {
	id := module.ID{Store: auth.StoreID{0xab}, Root: merkle.Hash{0xcd}}
	b, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	var back module.ID
	if err := json.Unmarshal(b, &back); err != nil || back != id {
		t.Errorf("%s reads as %v, %v", b, back, err)
	}
	bin, _ := id.MarshalBinary()
	if err := back.UnmarshalBinary(bin); err != nil || back != id {
		t.Errorf("%x reads as %v, %v", bin, back, err)
	}
	if err := back.UnmarshalBinary(bin[1:]); err == nil {
		t.Error("63 bytes are an id")
	}
	if want := strings.Replace(id.String(), ":", "-", 1) + ".dig"; id.FileName() != want {
		t.Errorf("file name is %s", id.FileName())
	}
}

// Errors say what, where, and what was wanted.
func TestErrorsRead(t *testing.T) {
	for _, c := range []struct {
		err  error
		is   error
		want string
	}{
		{&module.FormatError{Fault: module.BadLength, Section: 2, Offset: 7, Err: errDisk}, module.ErrFormat,
			"read module: section has the wrong length (section 2, CurrentRoot) at byte 7: disk on fire"},
		{&module.FormatError{Fault: module.NotWasm, Offset: -1}, module.ErrFormat, "read module: not a WebAssembly module"},
		{&module.VerifyError{Mismatch: module.CountMismatch, Want: "1", Got: "2"}, module.ErrVerify,
			"verify module: leaves and keys disagree: want 1, got 2"},
	} {
		if c.err.Error() != c.want || !errors.Is(c.err, c.is) {
			t.Errorf("%q, want %q", c.err, c.want)
		}
	}
	if s := module.Section(99).String(); s != "section 99" {
		t.Error(s)
	}
	if !errors.Is(&module.FormatError{Fault: module.BadBody, Err: errDisk}, errDisk) {
		t.Error("what is behind a FormatError is not found")
	}
}
