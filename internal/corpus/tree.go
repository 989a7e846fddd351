package corpus

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"
	"time"
)

// A Tree maps slash-separated names to the contents of regular files. The
// contents of two trees may share memory: replace a slice, never write to it.
type Tree map[string][]byte

// Clone returns a copy that shares the contents.
func (t Tree) Clone() Tree { return maps.Clone(t) }

// Names returns the names in ascending order of bytes.
func (t Tree) Names() []string { return slices.Sorted(maps.Keys(t)) }

// Size returns the sum of the lengths of all files in bytes.
func (t Tree) Size() int64 {
	var n int64
	for _, b := range t {
		n += int64(len(b))
	}
	return n
}

// Concat returns the contents of all files, one after the other, in the order of
// Names.
func (t Tree) Concat() []byte {
	b := make([]byte, 0, t.Size())
	for _, name := range t.Names() {
		b = append(b, t[name]...)
	}
	return b
}

// epoch is the modification time of all files of a Tree.FS.
var epoch = time.Unix(1_700_000_000, 0)

// FS returns the tree as a file system in memory.
func (t Tree) FS() fs.FS {
	m := fstest.MapFS{}
	for name, b := range t {
		m[name] = &fstest.MapFile{Data: b, Mode: 0o644, ModTime: epoch}
	}
	return m
}

// Write makes the folder dir hold exactly the tree. A file whose content is
// already right is left alone; other files and empty folders are removed, but
// nothing below a folder called .dig at the top is touched.
func (t Tree) Write(dir string) error {
	have, err := Read(dir)
	if err != nil {
		return err
	}
	for _, name := range have.Names() {
		if _, ok := t[name]; ok {
			continue
		}
		if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return err
		}
		removeEmpty(dir, filepath.Dir(filepath.FromSlash(name)))
	}
	for _, name := range t.Names() {
		if b, ok := have[name]; ok && bytes.Equal(b, t[name]) {
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(file, t[name], 0o666); err != nil {
			return err
		}
	}
	return nil
}

// removeEmpty removes rel and the folders above it up to dir while they are
// empty.
func removeEmpty(dir, rel string) {
	for rel != "." && os.Remove(filepath.Join(dir, rel)) == nil {
		rel = filepath.Dir(rel)
	}
}

// Read returns the regular files below dir, except those below a folder called
// .dig at the top. A folder that does not exist has none.
func Read(dir string) (Tree, error) {
	t := Tree{}
	err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if file == dir && os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if rel == ".dig" && e.IsDir() {
			return filepath.SkipDir
		}
		if !e.Type().IsRegular() {
			return nil
		}
		t[filepath.ToSlash(rel)], err = os.ReadFile(file)
		return err
	})
	return t, err
}

// Diff describes in what got differs from want, at most ten names; it is empty
// when both hold the same names and bytes.
func Diff(want, got Tree) string {
	var out []string
	for _, name := range want.Names() {
		b, ok := got[name]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("missing %q (%d bytes)", name, len(want[name])))
		case !bytes.Equal(b, want[name]):
			out = append(out, fmt.Sprintf("%q has %d bytes that differ from the %d wanted at offset %d",
				name, len(b), len(want[name]), mismatch(b, want[name])))
		}
	}
	for _, name := range got.Names() {
		if _, ok := want[name]; !ok {
			out = append(out, fmt.Sprintf("surplus %q (%d bytes)", name, len(got[name])))
		}
	}
	if len(out) > 10 {
		out = append(out[:10], fmt.Sprintf("and %d more", len(out)-10))
	}
	return strings.Join(out, "\n")
}

func mismatch(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
