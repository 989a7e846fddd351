package digstore_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
)

// unsafe are names that cannot be files together with safe, on any system.
var unsafe = files{
	".git/config": "1", "x/.GIT/hooks/post-checkout": "2", "git~1/config": "3",
	".g\u200cit/config": "4", ".hg/hgrc": "5",
	".svn/wc.db": "6", ".DIG/x": "7", "a\u202egnp.exe": "8", "\u200fb": "9", "q": "10", "r/s/t": "11",
	"../up": "12", "a//b": "13",
	".dig-checkout-x/y": "14", ".git::$INDEX_ALLOCATION/config": "15",
}

var safe = files{"q/r": "one", "r/s/t/u": "two", "index.html": "three", ".gitignore": "four",
	"git/config": "five"}

func keysOf(list []digstore.KeyNameError) (keys []string) {
	for _, e := range list {
		keys = append(keys, e.Key)
	}
	return keys
}

// TestCommitTakesWhatCheckoutWrites: a commit accepts exactly the names that a checkout writes, and
// both report the same names as left out.
func TestCommitTakesWhatCheckoutWrites(t *testing.T) {
	ctx := context.Background()
	all := maps.Clone(safe)
	maps.Copy(all, unsafe)
	want := slices.Sorted(maps.Keys(unsafe))
	_, s := inMemory(t, nil)
	stage(t, s, all)
	_, err := s.Commit(ctx, nil, nil)
	var refused *digstore.UnsafeNamesError
	if !errors.As(err, &refused) || !slices.Equal(keysOf(refused.Names), want) {
		t.Fatalf("commit: %v, want it to refuse %q", err, want)
	}
	if _, err := s.Latest(); err == nil {
		t.Error("the refused commit has made a generation")
	}
	r, err := s.Commit(ctx, nil, &digstore.CommitOptions{SkipUnsafe: true})
	check(t, err)
	if !slices.Equal(keysOf(r.Unsafe), want) || r.Files != len(safe) {
		t.Errorf("skipped %q of %d, want %q", keysOf(r.Unsafe), r.Files, want)
	}
	wantFiles(t, r.Generation, safe)
	verifyAll(t, s)

	others := commit(t, s, all, new(digstore.CommitOptions).AnyNames())
	dir := filepath.Join(t.TempDir(), "out")
	_, err = others.Checkout(ctx, dir, nil)
	if !errors.As(err, &refused) || !slices.Equal(keysOf(refused.Names), want) {
		t.Errorf("checkout: %v, want it to refuse %q", err, want)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("the refused checkout has made its folder")
	}
	rep, err := others.Checkout(ctx, dir, &digstore.CheckoutOptions{Partial: true})
	check(t, err)
	if !slices.Equal(keysOf(rep.Unsafe), want) || rep.Files != len(safe) {
		t.Errorf("skipped %q of %d, want %q", keysOf(rep.Unsafe), rep.Files, want)
	}
	wantDir(t, dir, safe)
}

// TestCommitOfUnsafeFiles: status and commit report files with unsafe names in a content root,
// including a name that is not UTF-8.
func TestCommitOfUnsafeFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not have such names")
	}
	ctx := context.Background()
	dir := t.TempDir()
	content := corpus.Small(1)
	check(t, content.Write(filepath.Join(dir, "site")))
	bad := []string{".git ", "a\u202eb", "bad\xff", "git~1"}
	for _, name := range bad {
		check(t, os.WriteFile(filepath.Join(dir, "site", name), []byte("x"), 0o644))
	}
	for _, name := range []string{".git", ".hg", ".svn", ".dig", ".GIT"} {
		check(t, os.Mkdir(filepath.Join(dir, "site", name), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, "site", name, "config"), []byte("x"), 0o644))
	}
	w := must(digstore.Init(dir, nil))
	s := must(w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{ContentRoot: "site"}))
	var refused *digstore.UnsafeNamesError
	if _, err := s.Commit(ctx, nil, nil); !errors.As(err, &refused) ||
		!slices.Equal(keysOf(refused.Names), bad) {
		t.Errorf("commit: %v, want it to refuse %q", err, bad)
	}
	for range 2 { // the second commit uses the stat index
		r, err := s.Commit(ctx, nil, &digstore.CommitOptions{SkipUnsafe: true, Again: true})
		check(t, err)
		if !slices.Equal(keysOf(r.Unsafe), bad) {
			t.Errorf("skipped %q, want %q", keysOf(r.Unsafe), bad)
		}
	}
	st := must(s.Status(ctx))
	if !slices.Equal(keysOf(st.Unsafe), bad) || len(st.Added)+len(st.Modified) > 0 {
		t.Errorf("status: unsafe %q, added %q, modified %q", keysOf(st.Unsafe), st.Added, st.Modified)
	}
	check(t, w.Close())
	w = must(digstore.Open(dir, nil))
	defer w.Close()
	s = must(w.Active())
	verifyAll(t, s)
	out := filepath.Join(dir, "out")
	_, err := must(s.Latest()).Checkout(ctx, out, nil)
	check(t, err)
	got := must(corpus.Read(out))
	delete(got, digstore.GenerationResource)
	if diff := corpus.Diff(content, got); diff != "" {
		t.Error(diff)
	}
}

// TestCheckStaging: CheckStaging returns the names that a commit would refuse: by the name itself,
// by other staged names, and by the location of the file.
func TestCheckStaging(t *testing.T) {
	dir := t.TempDir()
	w := must(digstore.Init(dir, nil))
	defer w.Close()
	s := must(w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "s"}))
	write(t, dir, files{"w/.git": "gitdir: x", "w/.hg/hgrc": "x", "page": "x"})
	stage(t, s, files{"q/r": "1", ".git/staged": "2"})
	for _, c := range []struct{ names, want []string }{
		{[]string{"page", "q/s"}, nil},
		{[]string{"w/.git"}, []string{"w/.git"}},
		{[]string{"page", "q"}, []string{"q"}},
		{[]string{"q/r/s"}, []string{"q/r"}},
		{[]string{".git/staged"}, []string{".git/staged"}},
	} {
		if got := must(s.CheckStaging(c.names...)); !slices.Equal(keysOf(got), c.want) {
			t.Errorf("%q: refused %q, want %q", c.names, keysOf(got), c.want)
		}
	}
	for path, ok := range map[string]bool{"page": true, "w/.git": false, "w/.hg/hgrc": false,
		".dig/stores/s/signing_key.bin": false} {
		if _, err := s.StageFile(ctx, "key", filepath.Join(dir, path)); ok != (err == nil) ||
			!ok && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("stage %s: %v", path, err)
		}
	}
	if _, err := s.Unstage(ctx); err != nil {
		t.Fatal(err)
	}
	all := corpus.Tree{"a\u202eb": []byte("x"), "ok": []byte("y")}
	var refused []digstore.KeyNameError
	stop := errors.New("stop")
	o := &digstore.StageOptions{Unsafe: func(list []digstore.KeyNameError) error {
		refused = list
		return stop
	}}
	if _, err := s.StageFiles(ctx, all.FS(), nil, o); !errors.Is(err, stop) ||
		len(must(s.Staged())) != 0 {
		t.Errorf("stage what is refused: %v", err)
	}
	o.Unsafe = func([]digstore.KeyNameError) error { return nil }
	if got := must(s.StageFiles(ctx, all.FS(), nil, o)); len(got) != 1 || got[0].Name != "ok" ||
		len(refused) != 1 {
		t.Errorf("staged %v without %v", got, refused)
	}
}
