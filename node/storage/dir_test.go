package storage_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// manifest makes a manifest of contents.
func manifest(t *testing.T, store byte, contents ...string) *capsule.Manifest {
	t.Helper()
	m := &capsule.Manifest{Store: auth.StoreID{store}}
	var leaves []merkle.Hash
	for i, b := range contents {
		d, err := capsule.Describe(uint32(i), strings.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		m.Capsules = append(m.Capsules, d)
		leaves = append(leaves, d.Leaf())
	}
	m.Root = merkle.Root(leaves)
	return m
}

func add(s storage.Storage, m *capsule.Manifest, meta string, head bool, contents ...string) error {
	for i, d := range m.Capsules {
		if err := s.Put(context.Background(), d, strings.NewReader(contents[i])); err != nil {
			return err
		}
	}
	return s.Commit(context.Background(), &storage.Generation{Manifest: m, Meta: []byte(meta),
		Head: head})
}

// verified checks that every generation there is whole: readable, with its meta, and with verified
// content, unless it may be partial. It returns "root meta head" for each.
func verified(t *testing.T, s storage.Storage, store auth.StoreID) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	heads := 0
	for g, err := range s.Generations(t.Context(), store) {
		if err != nil {
			t.Fatal(err)
		}
		found[fmt.Sprintf("%v %s %v", g.Manifest.Root, g.Meta, g.Head)] = true
		if g.Head {
			heads++
		}
		for _, d := range g.Manifest.Capsules {
			rc, err := s.Open(t.Context(), d, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, capsule.VerifyReader(rc, d)); err != nil {
				t.Fatal(err)
			}
			rc.Close()
		}
	}
	if heads > 1 {
		t.Fatalf("%d heads", heads)
	}
	return found
}

const (
	one   = "one one one one"
	two   = "two"
	three = "three three"
)

// steps are changes of a storage, one after the other, each of which can be done again.
func steps(t *testing.T) (store auth.StoreID, list []func(storage.Storage) error,
	after []map[string]bool) {
	a, b := manifest(t, 1, one, two), manifest(t, 1, two, three)
	ctx := context.Background()
	root := func(m *capsule.Manifest, meta string, head bool) string {
		return fmt.Sprintf("%v %s %v", m.Root, meta, head)
	}
	list = []func(storage.Storage) error{
		func(s storage.Storage) error { return add(s, a, "first", true, one, two) },
		func(s storage.Storage) error { return add(s, b, "late", false, two, three) },
		func(s storage.Storage) error { return add(s, a, "changed", true, one, two) },
		func(s storage.Storage) error {
			staged := manifest(t, 2, "staged")
			err := s.Put(ctx, staged.Capsules[0], strings.NewReader("staged"))
			if err != nil {
				return err
			}
			return s.Discard(ctx, []merkle.Hash{staged.Capsules[0].Hash, b.Capsules[0].Hash})
		},
		func(s storage.Storage) error {
			err := s.Remove(ctx, a.Store, a.Root)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil // done before
			}
			return err
		},
	}
	after = []map[string]bool{
		{},
		{root(a, "first", true): true},
		{root(a, "first", true): true, root(b, "late", false): true},
		{root(a, "changed", true): true, root(b, "late", false): true},
		{root(a, "changed", true): true, root(b, "late", false): true},
		{root(b, "late", false): true},
	}
	return a.Store, list, after
}

// between reports whether what was found is the state before a step or after it. A commit of a new
// head may have made the generation and not yet the head, and a removal the other way round.
func between(found, before, after map[string]bool) bool {
	matches := func(want map[string]bool) bool {
		if len(found) != len(want) {
			return false
		}
		for g := range want {
			if !found[g] && !found[strings.TrimSuffix(g, "true")+"false"] {
				return false
			}
		}
		return true
	}
	return matches(before) || matches(after)
}

func equalStates(a, b map[string]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for g := range a {
		if !b[g] {
			return false
		}
	}
	return true
}

// TestDirCrashes cuts the power at every file operation of every change. A new instance finds the
// complete state before or after the change, has every acknowledged change, and can repeat the
// change.
func TestDirCrashes(t *testing.T) {
	seeds := uint64(4)
	if vectors.Long(t) {
		seeds = 40
	}
	store, list, after := steps(t)
	for i, step := range list {
		for n := 1; ; n++ {
			disk, s := diskAfter(t, list[:i])
			disk.StopAfter(n)
			err := step(s)
			for seed := range seeds {
				s := openOn(t, disk.Recover(seed))
				found := verified(t, s, store)
				if !between(found, after[i], after[i+1]) ||
					err == nil && !equalStates(found, after[i+1]) {
					t.Fatalf("step %d, operation %d, seed %d: found %v after %v", i, n, seed, found,
						err)
				}
				if err := step(s); err != nil {
					t.Fatalf("step %d, operation %d, seed %d, again: %v", i, n, seed, err)
				}
				if found := verified(t, s, store); !equalStates(found, after[i+1]) {
					t.Fatalf("step %d, operation %d, seed %d, again: found %v", i, n, seed, found)
				}
				collected(t, s)
			}
			if err == nil {
				t.Logf("step %d: %d operations", i, n-1)
				break
			}
		}
	}
}

// collected discards what no generation names, and checks that the rest is whole.
func collected(t *testing.T, s *storage.Dir) {
	t.Helper()
	var hashes []merkle.Hash
	for o, err := range s.Orphans(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, o.Hash)
	}
	if err := s.Discard(t.Context(), hashes); err != nil {
		t.Fatal(err)
	}
	for id := range s.Stores(t.Context()) {
		verified(t, s, id)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Staged != 0 {
		t.Fatalf("usage after a collection: %+v, %v", u, err)
	}
}

// diskAfter returns a disk with a storage after some steps.
func diskAfter(t *testing.T, steps []func(storage.Storage) error) (*diskfs.Crash, *storage.Dir) {
	t.Helper()
	disk := diskfs.NewCrash("/d")
	s := openOn(t, disk)
	for _, step := range steps {
		if err := step(s); err != nil {
			t.Fatal(err)
		}
	}
	return disk, s
}

func openOn(t *testing.T, fsys diskfs.FS) *storage.Dir {
	t.Helper()
	return openDir(t, "/d/store", &storage.DirOptions{FS: fsys})
}

// TestDirNoSpace lets all file operations fail from the n-th on, as on a full disk, for every n.
// The error is returned and is never fs.ErrNotExist, and the same instance makes the change when
// the disk has room.
func TestDirNoSpace(t *testing.T) {
	store, list, after := steps(t)
	for i, step := range list {
		for n := 1; ; n++ {
			disk, s := diskAfter(t, list[:i])
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			left, reached := -1, false // operations until the disk is full; below 0: it is not
			s = openOn(t, diskfs.Before(disk, func(op, name string) error {
				if left == 0 && op != "close" {
					reached = true
					return &fs.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
				}
				if left > 0 {
					left--
				}
				return nil
			}))
			left = n - 1
			err := step(s)
			if reached && err != nil && (!errors.Is(err, storage.ErrNoSpace) ||
				errors.Is(err, fs.ErrNotExist)) {
				t.Fatalf("step %d, operation %d: %v, expected ErrNoSpace", i, n, err)
			}
			left = -1
			if found := verified(t, s, store); !between(found, after[i], after[i+1]) {
				t.Fatalf("step %d, operation %d: found %v after %v", i, n, found, err)
			}
			if err := step(s); err != nil {
				t.Fatalf("step %d, operation %d, again: %v", i, n, err)
			}
			if found := verified(t, s, store); !equalStates(found, after[i+1]) {
				t.Fatalf("step %d, operation %d, again: found %v", i, n, found)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if !reached {
				break
			}
		}
	}
}

// TestDirReadOnly: a read-only directory can be read, and each change fails with
// errors.ErrUnsupported.
func TestDirReadOnly(t *testing.T) {
	dir := t.TempDir()
	if _, err := storage.OpenDir(dir, &storage.DirOptions{ReadOnly: true}); err == nil {
		t.Error("opened what is no storage")
	}
	m := manifest(t, 1, one, two)
	w := openDir(t, dir, nil)
	if err := add(w, m, "", true, one, two); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.OpenDir(dir, nil); !errors.Is(err, diskfs.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	s := openDir(t, dir, &storage.DirOptions{ReadOnly: true})
	hashes := []merkle.Hash{m.Capsules[0].Hash}
	for name, err := range map[string]error{
		"commit":  add(s, m, "", true, one, two),
		"discard": s.Discard(t.Context(), hashes),
		"release": s.Release(t.Context(), hashes),
		"remove":  s.Remove(t.Context(), m.Store, m.Root),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, expected errors.ErrUnsupported", name, err)
		}
	}
	if found := verified(t, s, m.Store); len(found) != 1 {
		t.Errorf("found %v", found)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Capsules != 2 || u.Free == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if err := errors.Join(w.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestDirDamagedManifest: a damaged manifest is an error when it is read, and hides no other. While
// it exists no content is an orphan. Removing it, or committing it again, repairs the storage.
func TestDirDamagedManifest(t *testing.T) {
	dir := t.TempDir()
	a, b := manifest(t, 1, one, two), manifest(t, 1, three)
	staged := manifest(t, 2, "staged")
	name := filepath.Join(dir, "stores", a.Store.String(), a.Root.String()+".json")
	for _, mend := range []string{"remove", "commit"} {
		s := openDir(t, dir, nil)
		err := errors.Join(add(s, a, "", true, one, two), add(s, b, "", false, three),
			s.Put(t.Context(), staged.Capsules[0], strings.NewReader("staged")), s.Close(),
			os.WriteFile(name, []byte("{}"), 0o644))
		if err != nil {
			t.Fatal(err)
		}
		s = openDir(t, dir, nil)
		whole, broken := 0, 0
		for g, err := range s.Generations(t.Context(), a.Store) {
			switch {
			case errors.Is(err, capsule.ErrManifest):
				broken++
			case err != nil || g.Manifest.Root != b.Root:
				t.Errorf("%+v, %v", g, err)
			default:
				whole++
			}
		}
		if whole != 1 || broken != 1 {
			t.Errorf("%d whole and %d damaged generations, expected 1 and 1", whole, broken)
		}
		hash := staged.Capsules[0].Hash
		if err := s.Discard(t.Context(), []merkle.Hash{hash}); !errors.Is(err, capsule.ErrManifest) {
			t.Errorf("discard: %v, expected ErrManifest", err)
		}
		for _, err := range s.Orphans(t.Context()) {
			if !errors.Is(err, capsule.ErrManifest) {
				t.Errorf("orphans: %v, expected ErrManifest", err)
			}
		}
		_, stat := s.Stat(t.Context(), capsule.Ref{Store: a.Store})
		if stat == nil || errors.Is(stat, fs.ErrNotExist) {
			t.Errorf("stat of a damaged head: %v", stat)
		}
		if mend == "remove" {
			err = s.Remove(t.Context(), a.Store, a.Root)
		} else {
			err = add(s, a, "", true, one, two)
		}
		if err != nil {
			t.Fatalf("%s: %v", mend, err)
		}
		collected(t, s)
		rc, err := s.Open(t.Context(), a.Capsules[0], 0, -1)
		if mend == "remove" && !errors.Is(err, fs.ErrNotExist) || mend == "commit" && err != nil {
			t.Errorf("%s: content: %v", mend, err)
		}
		if err == nil {
			rc.Close()
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Put replaces content that was damaged on disk.
func TestDirDamagedContent(t *testing.T) {
	dir := t.TempDir()
	m := manifest(t, 1, one)
	s := openDir(t, dir, nil)
	defer s.Close()
	if err := add(s, m, "", true, one); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "capsules", m.Capsules[0].Hash.String())
	for _, damage := range []string{"xxx xxx xxx xxx", ""} {
		if err := os.WriteFile(name, []byte(damage), 0o644); err != nil {
			t.Fatal(err)
		}
		err := s.Put(t.Context(), m.Capsules[0], strings.NewReader(one))
		if err != nil {
			t.Fatal(err)
		}
		verified(t, s, m.Store)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Bytes != int64(len(one)) {
		t.Errorf("usage %+v, %v", u, err)
	}
}

// TestDirVolumeGone: while the volume is missing or replaced by another one, no error is
// fs.ErrNotExist, and nothing is created at its path.
func TestDirVolumeGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	away := dir + "-away"
	m := manifest(t, 1, one)
	s := openDir(t, dir, nil)
	defer s.Close()
	if err := add(s, m, "", true, one); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, away); err != nil {
		t.Skipf("an open directory cannot be renamed here: %v", err)
	}
	ctx := t.Context()
	other := manifest(t, 2, two)
	for _, what := range []string{"gone", "an empty mount point", "another storage"} {
		errs := map[string]error{
			"put":     s.Put(ctx, m.Capsules[0], strings.NewReader(one)),
			"commit":  s.Commit(ctx, &storage.Generation{Manifest: m}),
			"discard": s.Discard(ctx, []merkle.Hash{m.Capsules[0].Hash}),
			"remove":  s.Remove(ctx, m.Store, m.Root),
			"absent":  s.Remove(ctx, other.Store, merkle.Hash{}),
		}
		_, errs["stat"] = s.Stat(ctx, m.Ref(0))
		_, errs["open"] = s.Open(ctx, m.Capsules[0], 0, -1)
		_, errs["usage"] = s.Usage(ctx)
		for _, err := range s.Stores(ctx) {
			errs["stores"] = err
		}
		for _, err := range s.Generations(ctx, m.Store) {
			errs["generations"] = err
		}
		for _, err := range s.Held(ctx, m.Store) {
			errs["held"] = err
		}
		for name, err := range errs {
			if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s: %v, expected ErrUnavailable", what, name, err)
			}
		}
		if what == "gone" {
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the directory was made: %v", err)
			}
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if what == "an empty mount point" {
			if err := openDir(t, dir, nil).Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(os.RemoveAll(dir), os.Rename(away, dir)); err != nil {
		t.Fatal(err)
	}
	verified(t, s, m.Store)
	if err := s.Remove(ctx, m.Store, m.Root); err != nil {
		t.Error(err)
	}
}

// TestDirHeldVolumeGone: if a volume disappears during Held, the content is not reported as absent.
func TestDirHeldVolumeGone(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	m := manifest(t, 1, one, two)
	gone, going := false, false
	s := openOn(t, diskfs.Before(disk, func(op, name string) error {
		gone = gone || going && op == "lstat" && strings.Contains(name, "capsules")
		if gone {
			return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		return nil
	}))
	if err := add(s, m, "", true, one, two); err != nil {
		t.Fatal(err)
	}
	going = true
	var last error
	for _, err := range s.Held(t.Context(), m.Store) {
		last = err
	}
	if !errors.Is(last, storage.ErrUnavailable) {
		t.Errorf("held: %v, expected ErrUnavailable", last)
	}
}

// TestDirTwoProcesses repeatedly kills a writing process while another one reads. Acknowledged
// changes are present, and every generation is complete.
func TestDirTwoProcesses(t *testing.T) {
	const store, count = 1, 12
	if dir := os.Getenv("STORAGE_TEST_WRITE"); dir != "" {
		s := openDir(t, dir, nil)
		for i := 0; ; i++ {
			text := fmt.Sprintf("%s %d %s", os.Getenv("STORAGE_TEST_RUN"), i, strings.Repeat("x", 50_000))
			m := manifest(t, store, text, two)
			if err := add(s, m, text[:20], true, text, two); err != nil {
				t.Fatal(err)
			}
			fmt.Println("acknowledged", m.Root)
		}
	}
	dir := t.TempDir()
	if err := openDir(t, dir, nil).Close(); err != nil {
		t.Fatal(err)
	}
	r := openDir(t, dir, &storage.DirOptions{ReadOnly: true})
	defer r.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var acknowledged []merkle.Hash
	for run := range 3 {
		cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestDirTwoProcesses$")
		cmd.Env = append(os.Environ(), "STORAGE_TEST_WRITE="+dir, fmt.Sprint("STORAGE_TEST_RUN=", run))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < count && lines.Scan(); {
			text, ok := strings.CutPrefix(lines.Text(), "acknowledged ")
			if !ok {
				t.Fatalf("the writer: %s", lines.Text())
			}
			root, err := merkle.ParseHash(text)
			if err != nil {
				t.Fatal(err)
			}
			acknowledged = append(acknowledged, root)
			n++
			if n%4 == 0 {
				verified(t, r, auth.StoreID{store})
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		found := verified(t, r, auth.StoreID{store})
		for _, root := range acknowledged {
			if _, err := r.Generation(t.Context(), auth.StoreID{store}, root); err != nil {
				t.Errorf("run %d: an acknowledged generation: %v", run, err)
			}
		}
		if len(found) < len(acknowledged) {
			t.Errorf("run %d: %d generations, %d acknowledged", run, len(found), len(acknowledged))
		}
	}
	w := openDir(t, dir, nil)
	collected(t, w)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// Stamps tell a generation that has changed from one that has not.
func TestDirStamps(t *testing.T) {
	dir := t.TempDir()
	a, b := manifest(t, 1, one), manifest(t, 1, two)
	s := openDir(t, dir, nil)
	defer s.Close()
	stamps := func() map[merkle.Hash]storage.Stamp {
		all := map[merkle.Hash]storage.Stamp{}
		for st, err := range s.Stamps(t.Context()) {
			if err != nil || st.Store != a.Store || st.Size == 0 || st.Modified.IsZero() {
				t.Fatalf("stamp %+v, %v", st, err)
			}
			all[st.Root] = st
		}
		return all
	}
	if got := stamps(); len(got) != 0 {
		t.Errorf("stamps of nothing: %v", got)
	}
	err := errors.Join(add(s, a, "", true, one), add(s, b, "", false, two))
	if err != nil {
		t.Fatal(err)
	}
	before := stamps()
	if !before[a.Root].Head || before[b.Root].Head || len(before) != 2 {
		t.Errorf("stamps %+v", before)
	}
	if err := add(s, b, "changed", true, two); err != nil {
		t.Fatal(err)
	}
	after := stamps()
	first := before[a.Root]
	first.Head = false
	if after[a.Root] != first {
		t.Errorf("stamp of what has not changed: %+v, expected %+v", after[a.Root], first)
	}
	if after[b.Root] == before[b.Root] || !after[b.Root].Head {
		t.Errorf("stamp of what has changed: %+v", after[b.Root])
	}
}
