package capsule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

func TestCheckProof(t *testing.T) {
	contents := make([][]byte, 11)
	for i := range contents {
		contents[i] = pattern(i, i)
	}
	m := manifestOf(1, contents...)
	tree := m.Tree()
	for i, d := range m.Capsules {
		p := must(tree.Prove(i))
		if err := d.CheckProof(p, m.Root, 11); err != nil {
			t.Error(err)
		}
		wantError(t, "another root", d.CheckProof(p, merkle.Hash{1}, 11), capsule.ErrPath)
		wantError(t, "another count", d.CheckProof(p, m.Root, 3), capsule.ErrPath)
		d.Size++
		wantError(t, "another size", d.CheckProof(p, m.Root, 11), capsule.ErrPath)
		d.Size--
		d.Index ^= 1
		wantError(t, "another index", d.CheckProof(p, m.Root, 11), capsule.ErrPath)
	}
	if _, err := m.Prove(11); err == nil {
		t.Error("capsule 11 of 11 is proved")
	}
	m.Capsules[3].ChunkRoot = merkle.Hash{}
	if _, err := m.Prove(0); !errors.Is(err, capsule.ErrManifest) {
		t.Errorf("without chunk roots: %v", err)
	}
}

func TestManifestJSON(t *testing.T) {
	m := manifestOf(0xab, pattern(1, 100), nil)
	m.Created = 1_700_000_000
	text := must(json.Marshal(m))
	want := `{"datastore_id":"0x` + strings.Repeat("ab", 32) +
		`","capsule_count":2,"merkle_root":"0x` + m.Root.String() +
		`","total_size":100,"creation_time":1700000000,"capsules":[{"index":0,"hash":"0x` +
		m.Capsules[0].Hash.String() +
		`","size":100,"chunk_root":"0x` + m.Capsules[0].ChunkRoot.String() +
		`"},{"index":1,"hash":"0x` + m.Capsules[1].Hash.String() +
		`","size":0,"chunk_root":"0x` + m.Capsules[1].ChunkRoot.String() + `"}]}`
	if string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
	same := func(m *capsule.Manifest) {
		t.Helper()
		var got capsule.Manifest
		text := must(json.Marshal(m))
		if err := json.Unmarshal(text, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(*m) {
			t.Errorf("%s became %+v, %v", text, got, err)
		}
	}
	same(m)
	key := auth.NewKey([32]byte{1})
	s := must(capsule.SignRoot(t.Context(), m, 0, key))
	if err := m.SetStatement(s); err != nil {
		t.Fatal(err)
	}
	m.Parent = merkle.Hash{5}
	same(m)
	if got, ok := m.Statement(); !ok || got != s {
		t.Errorf("statement %+v, %v", got, ok)
	}
	m.Capsules[1].ChunkRoot = merkle.Hash{} // not complete: the root is not checked
	same(m)
	if m.Complete() {
		t.Error("complete")
	}

	withNull := strings.Replace(want, `"total_size"`,
		`"parent_root":null,"next_offset":null,"total_size"`, 1)
	if got, err := capsule.ReadManifest(strings.NewReader(withNull), 0); err != nil ||
		!got.Parent.IsZero() {
		t.Errorf("parent_root null: %v", err)
	}
	if got, err := capsule.ReadManifest(strings.NewReader(" \n"+want+"\t\r\n "), 0); err != nil ||
		got.Created != 1_700_000_000 {
		t.Errorf("white space: %v", err)
	}
	for name, c := range map[string]struct{ old, new, member string }{
		"a short root": {m.Root.String(), m.Root.String()[2:], "merkle_root"},
		"a long root":  {"0x" + m.Root.String(), m.Root.String() + "00", "merkle_root"},
		"another root": {m.Root.String(), strings.Repeat("0", 64), "merkle_root"},
		"a chunk root": {`"chunk_root":"0x`, `"chunk_root":"0xzz`, "capsules[0].chunk_root"},
		"null chunk root": {`"chunk_root":"0x` + m.Capsules[0].ChunkRoot.String() + `"`,
			`"chunk_root":null`, "capsules[0].chunk_root"},
		"count":        {`"capsule_count":2`, `"capsule_count":3`, "capsule_count"},
		"leading zero": {`"capsule_count":2`, `"capsule_count":02`, "capsule_count"},
		"size":         {`"size":100`, `"size":101`, "total_size"},
		"no time":      {`"creation_time":1700000000,`, ``, "creation_time"},
		"no hash": {`"hash":"0x` + m.Capsules[1].Hash.String() + `",`, ``,
			"capsules[1].hash"},
		"twice in a capsule": {`"size":0`, `"size":0,"size":0`, "capsules[1].size"},
		"case in a capsule":  {`"size":0`, `"Size":0`, "capsules[1].Size"},
		"unknown twice":      {`"total_size"`, `"x":1,"x":2,"total_size"`, "x"},
		"escaped name twice": {`"total_size"`, `"merkle\u005froot":"","total_size"`, "merkle_root"},
		"control character":  {`"total_size"`, "\"x\":\"\n\",\"total_size\"", "x"},
		"bad escape":         {`"total_size"`, `"\q":1,"total_size"`, ""},
		"bad word":           {`"total_size"`, `"x":nul,"total_size"`, "x"},
		"bad number":         {`"total_size"`, `"x":01,"total_size"`, "x"},
		"bad nest":           {`"total_size"`, `"x":[{"y":[}],"total_size"`, "x"},
		"deep nest": {`"total_size"`, `"x":` + strings.Repeat("[", 600) +
			strings.Repeat("]", 600) + `,"total_size"`, "x"},
		"no comma":         {`,"total_size"`, `"total_size"`, ""},
		"comma at the end": {`}]}`, `},]}`, "capsules"},
		"two commas":       {`},{"index"`, `},,{"index"`, "capsules[1]"},
	} {
		bad := strings.Replace(want, c.old, c.new, 1)
		if bad == want {
			t.Fatalf("%s: nothing is replaced", name)
		}
		_, err := capsule.ReadManifest(strings.NewReader(bad), 0)
		var at *capsule.ManifestError
		if !errors.As(err, &at) || !errors.Is(err, capsule.ErrManifest) || at.Member != c.member {
			t.Errorf("%s: %v, want member %q", name, err, c.member)
		}
	}
	kept := capsule.Manifest{Created: 5}
	if err := kept.UnmarshalJSON([]byte(want[1:])); !errors.Is(err, capsule.ErrManifest) ||
		kept.Created != 5 {
		t.Errorf("%v, %+v", err, kept)
	}
	if err := (&capsule.Manifest{Root: merkle.Root(nil)}).Check(); !errors.Is(err,
		capsule.ErrManifest) {
		t.Errorf("no capsules: %v", err)
	}
	if _, err := capsule.ReadManifest(strings.NewReader("x"), 0); err == nil ||
		strings.Contains(err.Error(), "member") {
		t.Errorf("an error of the whole: %v", err)
	}
	for n := range len(want) {
		if _, err := capsule.ReadManifest(strings.NewReader(want[:n]), 0); !errors.Is(err,
			capsule.ErrManifest) {
			t.Fatalf("cut off after %d: %v", n, err)
		}
	}
	if _, err := capsule.ReadManifest(strings.NewReader(want), int64(len(want))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := capsule.ReadManifest(strings.NewReader(want), int64(len(want))-1); !errors.Is(err,
		capsule.ErrManifest) {
		t.Errorf("over the limit: %v", err)
	}
	broken := errors.New("broken")
	if _, err := capsule.ReadManifest(io.MultiReader(strings.NewReader(want[:100]),
		iotest.ErrReader(broken)), 0); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// A long string of an unknown member is not held, and the limit ends it.
func TestManifestMemory(t *testing.T) {
	m := manifestOf(1, pattern(1, 10))
	text := string(must(json.Marshal(m)))
	at := strings.Index(text, `"total_size"`)
	letters := readerFunc(func(p []byte) (int, error) {
		for i := range p {
			p[i] = 'a'
		}
		return len(p), nil
	})
	endless := io.MultiReader(strings.NewReader(text[:at]+`"x":"`), letters)
	most := heap(func() {
		if _, err := capsule.ReadManifest(endless, 32<<20); !errors.Is(err, capsule.ErrManifest) {
			t.Errorf("an endless string: %v", err)
		}
	})
	t.Logf("%d KiB", most>>10)
	if most > 2<<20 {
		t.Errorf("holds %d bytes", most)
	}
	long := io.MultiReader(strings.NewReader(text[:at]+`"x":"`), io.LimitReader(letters, 1<<20),
		strings.NewReader(`",`+text[at:]))
	if _, err := capsule.ReadManifest(long, 0); err != nil {
		t.Errorf("a long string: %v", err)
	}
}
