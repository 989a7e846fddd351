package vectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Dir returns the directory of the shared vectors. It skips the test when
// there is none.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := find()
	if err != nil {
		t.Skipf("no shared vectors: %v", err)
	}
	return dir
}

// find looks in DIG_VECTORS and, when that is unset, for shared/vectors beside
// a module that holds the working directory. A nested module is looked through
// to the one around it.
func find() (string, error) {
	if dir := os.Getenv("DIG_VECTORS"); dir != "" {
		if !isDir(dir) {
			return "", errors.New("DIG_VECTORS names " + dir + ", which is no directory")
		}
		return filepath.Abs(dir)
	}
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			if dir := filepath.Join(filepath.Dir(at), "shared", "vectors"); isDir(dir) {
				return dir, nil
			}
		}
		up := filepath.Dir(at)
		if up == at {
			return "", errors.New("DIG_VECTORS is unset and no shared/vectors lies beside the checkout")
		}
		at = up
	}
}

func isDir(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

// Open opens the vector file of that slash-separated name, relative to Dir.
// The file is closed when the test ends. A file that is missing skips the test.
func Open(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(Dir(t), filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("vector file %s is missing", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// File returns the content of a vector file, as Open finds it.
func File(t testing.TB, name string) []byte {
	t.Helper()
	b, err := io.ReadAll(Open(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Glob returns the names, relative to Dir and sorted, of the vector files that
// match a pattern of path.Match. No match skips the test.
func Glob(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := fs.Glob(os.DirFS(Dir(t)), pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skipf("no vector file matches %s", pattern)
	}
	slices.Sort(names)
	return names
}

// Seeds returns the contents of the vector files that match pattern, for the
// corpus of a fuzz target. Unlike Glob it never skips: without vectors there
// are none.
func Seeds(f testing.TB, pattern string) [][]byte {
	f.Helper()
	dir, err := find()
	if err != nil {
		return nil
	}
	names, err := fs.Glob(os.DirFS(dir), pattern)
	if err != nil {
		f.Fatal(err)
	}
	var seeds [][]byte
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	return seeds
}

// Load decodes a JSON vector file into v, which is a pointer to a struct. Members that v does not
// name are ignored: another file of the same shape may say more. Anything after the document fails
// the test.
func Load(t testing.TB, name string, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(File(t, name)))
	if err := d.Decode(v); err != nil {
		t.Fatalf("decode vector file %s: %v", name, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("decode vector file %s: more follows the document at byte %d", name, d.InputOffset())
	}
}

// Count logs how many cases of a vector file (or of one list in it) a test passed and skipped, for
// the tally that the report of a run gives. It is called after the cases. Where one of them failed
// it claims none as passed. A file without a case is logged as such: there was nothing to check.
func Count(t testing.TB, name string, passed, skipped int) {
	t.Helper()
	switch {
	case t.Failed():
		t.Logf("vectors %s: 0 of %d counted as passed, for the test has failed; %d skipped",
			name, passed, skipped)
	case passed+skipped == 0:
		t.Logf("vectors %s: skipped, for it has no case", name)
	default:
		t.Logf("vectors %s: %d passed, %d skipped", name, passed, skipped)
	}
}
