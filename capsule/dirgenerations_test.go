package capsule_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A generation is kept with its note, as the head or beside it, and is found so by a fresh
// instance; another note replaces the first.
func TestDirKept(t *testing.T) {
	contents := [][]byte{pattern(1, 5000), pattern(2, 10)}
	first, second := manifestOf(1, contents[0]), manifestOf(1, contents...)
	dir := t.TempDir()
	commit := func(m *capsule.Manifest, o *capsule.CommitOptions) error {
		s := mustOpenDir(t, dir, nil)
		defer s.Close()
		for i, d := range m.Capsules {
			if err := s.Put(t.Context(), d, bytes.NewReader(contents[i])); err != nil {
				t.Fatal(err)
			}
		}
		return s.CommitWith(t.Context(), m, o)
	}
	check := func(m *capsule.Manifest, note string, head bool) {
		t.Helper()
		s := mustOpenDir(t, dir, nil)
		defer s.Close()
		k, err := s.Kept(t.Context(), m.Store, m.Root)
		if err != nil || string(k.Note) != note || k.Head != head || k.Manifest.Root != m.Root {
			t.Errorf("kept %+v, %v, expected note %q, head %v", k, err, note, head)
		}
		if got, err := s.Head(m.Store); head && (err != nil || got != m.Root) {
			t.Errorf("head %v, %v, expected %v", got, err, m.Root)
		}
	}
	long := string(bytes.Repeat([]byte(`"}`), capsule.MaxNote/2))
	for _, c := range []struct {
		m    *capsule.Manifest
		note string
		late bool
		head bool
	}{
		{first, "a", true, false},
		{second, "", false, true},
		{first, "b", true, false},
		{first, long, true, false},
		{second, "c", true, true},
	} {
		if err := commit(c.m, &capsule.CommitOptions{Late: c.late, Note: []byte(c.note)}); err != nil {
			t.Fatal(err)
		}
		check(c.m, c.note, c.head)
	}
	check(first, long, false)
	if err := commit(first, &capsule.CommitOptions{Note: []byte(long + "x")}); err == nil {
		t.Error("a note that is too long was committed")
	}
	s := mustOpenDir(t, dir, nil)
	files, err := s.Manifests(first.Store)
	if err != nil || len(files) != 2 {
		t.Errorf("manifests %v, %v", files, err)
	}
	if err := s.RemoveGeneration(first.Store, second.Root); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(first.Store); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("head after its removal: %v", err)
	}
	if err := s.RemoveGeneration(first.Store, first.Root); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveGeneration(first.Store, first.Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removal of what is not there: %v", err)
	}
	for id := range s.StoreDirs(t.Context()) {
		t.Errorf("directory of store %v is left", id)
	}
	hash := second.Capsules[1].Hash
	if c, err := s.StatContent(hash); err != nil || c.Size != 10 {
		t.Errorf("content %+v, %v", c, err)
	}
	if err := s.RemoveContent(hash); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StatContent(hash); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("content after its removal: %v", err)
	}
	var left []merkle.Hash
	for c, err := range s.Contents(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, c.Hash)
	}
	if !slices.Equal(left, []merkle.Hash{second.Capsules[0].Hash}) {
		t.Errorf("contents %v", left)
	}
}

// Damage of a note is an error of the manifest.
func TestDirNoteDamage(t *testing.T) {
	content := pattern(1, 100)
	m := manifestOf(1, content)
	dir := t.TempDir()
	s := mustOpenDir(t, dir, nil)
	if err := store(t, s, m, content); err != nil {
		t.Fatal(err)
	}
	plain := must(m.MarshalJSON())
	for note, ok := range map[string]bool{
		"":         false, // no checksum
		"AAAA":     false,
		"YWS6Q+w=": false, // one bit of "a" and its checksum
		"!":        false,
		"Yco5cRI=": false,
	} {
		text := fmt.Appendf(nil, `{"note":"%s",%s`, note, plain[1:])
		name := filepath.Join(dir, "stores", m.Store.String(), m.Root.String()+".json")
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Kept(t.Context(), m.Store, m.Root); (err == nil) != ok ||
			err != nil && !errors.Is(err, capsule.ErrManifest) {
			t.Errorf("note %q: %v", note, err)
		}
	}
}

// The power goes at every file operation of a removal: the generation is there whole or is gone,
// the head is one that exists, and the removal can be done again.
func TestDirRemoveCrashes(t *testing.T) {
	contents := [][]byte{pattern(1, 500), pattern(2, 10)}
	first, second := manifestOf(1, contents[0]), manifestOf(1, contents...)
	for n := 1; ; n++ {
		disk := diskfs.NewCrash("/d")
		open := func(disk *diskfs.Crash) *capsule.Dir {
			s, err := capsule.OpenDirOn(disk, "/d/store", nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open(disk)
		for _, m := range []*capsule.Manifest{first, second} {
			if err := store(t, s, m, contents...); err != nil {
				t.Fatal(err)
			}
		}
		disk.StopAfter(n)
		err := s.RemoveGeneration(second.Store, second.Root)
		for seed := range uint64(6) {
			s := open(disk.Recover(seed))
			_, kerr := s.Kept(t.Context(), second.Store, second.Root)
			head, herr := s.Manifest(t.Context(), second.Store, merkle.Hash{})
			if kerr != nil && !errors.Is(kerr, fs.ErrNotExist) || err == nil && kerr == nil {
				t.Fatalf("operation %d, seed %d: removal %v, then %v", n, seed, err, kerr)
			}
			if herr != nil && !errors.Is(herr, fs.ErrNotExist) ||
				herr == nil && head.Root != second.Root {
				t.Fatalf("operation %d, seed %d: head %v, %v", n, seed, head, herr)
			}
			if _, err := s.Kept(t.Context(), first.Store, first.Root); err != nil {
				t.Fatalf("operation %d, seed %d: the other generation: %v", n, seed, err)
			}
			rerr := s.RemoveGeneration(second.Store, second.Root)
			if rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
				t.Fatalf("operation %d, seed %d, again: %v", n, seed, rerr)
			}
		}
		if err == nil {
			t.Logf("%d operations", n-1)
			return
		}
	}
}

// While the directory is not in its place, Available says so.
func TestDirAvailable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := mustOpenDir(t, dir, &capsule.DirOptions{})
	if err := s.Available(); err != nil {
		t.Fatal(err)
	}
	stores := filepath.Join(dir, "stores")
	if err := os.Rename(stores, stores+"-elsewhere"); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"gone", "another"} {
		if err := s.Available(); !errors.Is(err, capsule.ErrUnavailable) ||
			errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.MkdirAll(stores, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(stores), os.Rename(stores+"-elsewhere", stores)); err != nil {
		t.Fatal(err)
	}
	if err := s.Available(); err != nil {
		t.Errorf("back in its place: %v", err)
	}
}
