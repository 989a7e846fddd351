package digstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

func TestCommitStaged(t *testing.T) {
	_, s := inMemory(t, &digstore.StoreOptions{Name: "site"})
	want := among(base(t, 1),
		files{"index.html": "<h1>hi</h1>", "empty": "", "big": noise(1, 700_000), "a/b/c": noise(2, 100)})
	g := commit(t, s, want, &digstore.CommitOptions{Message: "first"})
	wantFiles(t, g, want)
	if g.Message() != "first" || g.Info().Number != 0 {
		t.Errorf("generation %d says %q, want 0 and first", g.Info().Number, g.Message())
	}
	if list, err := s.Staged(); err != nil || len(list) != 0 {
		t.Errorf("after a commit %v is staged, %v", list, err)
	}
	if head := signed(t, s); head.Root != g.Info().Root || head.PublicKey != g.PublicKey() {
		t.Errorf("head is %s by %s", head.Root, head.PublicKey)
	}
	verifyAll(t, s)

	// Files are not carried over, and equal content is stored once.
	delete(want, "empty")
	want["new"] = "new"
	g2 := commit(t, s, want, nil)
	wantFiles(t, g2, want)
	if g2.Message() != "" {
		t.Errorf("message %q, want none", g2.Message())
	}
	d, err := s.Diff(context.Background(), g.Info().Root, g2.Info().Root)
	check(t, err)
	if got := fmt.Sprint(d.Added, d.Removed, d.Modified, d.NewChunks); got != "[new] [empty] [] 1" {
		t.Errorf("diff is %s", got)
	}
	verifyAll(t, s)
}

func TestCommitRefuses(t *testing.T) {
	ctx := context.Background()
	_, s := inMemory(t, &digstore.StoreOptions{MaxSize: 1000})
	if _, err := s.Commit(ctx, nil, nil); !errors.Is(err, digstore.ErrNothingStaged) {
		t.Errorf("nothing staged: %v", err)
	}
	first := commit(t, s, files{"a": "1"}, nil)
	stage(t, s, files{"a": "1"})
	if _, err := s.Commit(ctx, nil, nil); !errors.Is(err, digstore.ErrUnchanged) {
		t.Errorf("the head again: %v", err)
	}
	_, err := s.Unstage(ctx)
	check(t, err)
	second := commit(t, s, files{"a": "2"}, nil)
	stage(t, s, files{"a": "1"})
	_, err = s.Commit(ctx, nil, nil)
	var recurring *digstore.RecurringRootError
	if !errors.As(err, &recurring) || recurring.Earlier.Number != 0 ||
		errors.Is(err, digstore.ErrUnchanged) {
		t.Errorf("an earlier root: %v", err)
	}
	r, err := s.Commit(ctx, nil, &digstore.CommitOptions{Again: true})
	check(t, err)
	wantFiles(t, r.Generation, files{"a": "1", digstore.GenerationResource: "2"})
	if root := r.Generation.Info().Root; root == first.Info().Root || root == second.Info().Root {
		t.Error("commit again made an old root")
	}

	stage(t, s, files{"a": noise(1, 1001)})
	_, err = s.Commit(ctx, nil, nil)
	var large *digstore.TooLargeError
	if !errors.As(err, &large) || large.Size != 1001 || large.Max != 1000 ||
		!errors.Is(err, module.ErrTooLarge) || !strings.Contains(err.Error(), "max-size") {
		t.Errorf("over the cap: %v", err)
	}
	other, err := auth.GenerateKey(nil)
	check(t, err)
	if _, err := s.Commit(ctx, other, nil); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("another's key: %v", err)
	}
	if _, err := s.Unstage(ctx, "b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unstage what is not: %v", err)
	}
	stage(t, s, files{"b": "b", "c": "c"})
	if n, err := s.Unstage(ctx, "a", "c"); err != nil || n != 2 {
		t.Errorf("unstage: %d, %v", n, err)
	}
	if list, err := s.Staged(); err != nil || fmt.Sprint(list) != "[{b 1}]" {
		t.Errorf("staged: %v, %v", list, err)
	}
}

func TestCommitRootVectors(t *testing.T) {
	var file struct {
		Origin  string
		Commits []struct {
			Name       string
			StoreID    auth.StoreID `json:"store_id"`
			SecretSalt *string      `json:"secret_salt"`
			Files      []struct {
				Key       string
				Plaintext vectors.Hex    `json:"plaintext_hex"`
				Gen       *vectors.Input `json:"plaintext_gen"`
			}
			Leaves []struct {
				Key          string
				RetrievalKey merkle.Hash `json:"retrieval_key"`
				Leaf         merkle.Hash
			} `json:"leaves_in_key_order"`
			Root merkle.Hash
		}
	}
	vectors.Load(t, "store/commit_roots.json", &file)
	for _, c := range file.Commits {
		t.Run(c.Name, func(t *testing.T) {
			disk := diskfs.NewCrash("/ws")
			w, err := digstore.Init("/ws", options(disk))
			check(t, err)
			key := auth.NewKey([32]byte{1})
			s, err := w.Create(ctx, c.StoreID, &digstore.StoreOptions{Name: "v", Key: key})
			check(t, err)
			if c.SecretSalt != nil { // Create would make another salt
				text :=
					fmt.Sprintf(
						"store_id = %q\ndata_dir = \"\"\nmax_size = 0\nvisibility = \"private\"\nsecret_salt = %q\n",
						c.StoreID, *c.SecretSalt)
				check(t, diskfs.WriteFile(disk, "/ws/.dig/stores/v/config.toml", []byte(text), 0o600))
				check(t, w.Close())
				s, err = w.Store("v")
				check(t, err)
			}
			if len(c.Files) == 0 {
				if _, err := s.Commit(context.Background(), nil,
					nil); !errors.Is(err, digstore.ErrNothingStaged) {
					t.Fatal(err)
				}
				return
			}
			for _, f := range c.Files {
				text := string(f.Plaintext)
				if f.Gen != nil {
					text = string(*f.Gen)
				}
				check(t, s.Stage(context.Background(), f.Key, strings.NewReader(text)))
			}
			r, err := s.Commit(context.Background(), nil, nil)
			check(t, err)
			if got := r.Generation.Info().Root; got != c.Root {
				t.Fatalf("root %s, want %s", got, c.Root)
			}
			for _, l := range c.Leaves {
				if got := urn.RetrievalKey(c.StoreID, l.Key); got != l.RetrievalKey {
					t.Errorf("%s: retrieval key %s, want %s", l.Key, got, l.RetrievalKey)
				}
				res, err := r.Generation.Module().Find(l.RetrievalKey)
				check(t, err)
				if res.Leaf() != l.Leaf {
					t.Errorf("%s: leaf %s, want %s", l.Key, res.Leaf(), l.Leaf)
				}
			}
		})
	}
	vectors.Count(t, "store/commit_roots.json", len(file.Commits), 0)
}

// site makes a folder with files, and a workspace on disk whose store has it as content root.
func site(t testing.TB, content files, o *digstore.StoreOptions) (*digstore.Store, string) {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "site")
	write(t, root, content)
	w, err := digstore.Init(dir, &digstore.Options{Workers: 2})
	check(t, err)
	t.Cleanup(func() { w.Close() })
	if o == nil {
		o = &digstore.StoreOptions{}
	}
	o.ContentRoot = "site"
	s, err := w.Create(ctx, digstore.StoreID{}, o)
	check(t, err)
	return s, root
}

func write(t testing.TB, root string, content files) {
	t.Helper()
	for name, text := range content {
		full := filepath.Join(root, filepath.FromSlash(name))
		check(t, os.MkdirAll(filepath.Dir(full), 0o755))
		check(t, os.WriteFile(full, []byte(text), 0o644))
	}
}

func TestCommitContentRoot(t *testing.T) {
	ctx := context.Background()
	content := among(base(t, 2),
		files{"index.html": "hi", "deep/er/est/x": noise(1, 20_000), "größe/日本": "ü", "empty": "",
			"big.bin": noise(2, 5<<20+17), ".well-known/dot": "dot"})
	s, root := site(t, content, nil)
	write(t, root, files{".gitignore": "*.log\n/private/\n", "x.log": "no", "private/secret": "no",
		"deep/private/yes": "yes"})
	content[".gitignore"], content["deep/private/yes"] = "*.log\n/private/\n", "yes"
	var steps, last int64
	r, err := s.Commit(ctx, nil, &digstore.CommitOptions{Progress: func(done, total int64) {
		if done < last || done > total {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
		steps++
	}})
	check(t, err)
	if r.ContentRoot == "" || r.Files != len(content) || r.Changed != r.Files || steps < 2 {
		t.Errorf("report %+v, %d steps of progress", r, steps)
	}
	wantFiles(t, r.Generation, content)
	verifyAll(t, s)

	st, err := s.Status(ctx)
	check(t, err)
	if !st.Clean() || st.Unchanged != len(content) {
		t.Errorf("status after a commit: %+v", st)
	}
	if _, err := s.Commit(ctx, nil, nil); !errors.Is(err, digstore.ErrUnchanged) {
		t.Errorf("commit again: %v", err)
	}
	write(t, root, files{"index.html": "ho", "new": "new"})
	content["index.html"], content["new"] = "ho", "new"
	check(t, os.Remove(filepath.Join(root, "empty")))
	delete(content, "empty")
	st, err = s.Status(ctx)
	check(t, err)
	if got := fmt.Sprint(st.Added, st.Modified, st.Removed); got != "[new] [index.html] [empty]" {
		t.Errorf("status: %s", got)
	}
	r, err = s.Commit(ctx, nil, nil)
	check(t, err)
	wantFiles(t, r.Generation, content)
	verifyAll(t, s)
}

// TestCommitRacy: a change at the moment of the commit is detected, even if size and times stay the
// same.
func TestCommitRacy(t *testing.T) {
	ctx := context.Background()
	s, root := site(t, files{"a": "one", "b": "same"}, nil)
	name := filepath.Join(root, "a")
	info, err := os.Stat(name)
	check(t, err)
	_, err = s.Commit(ctx, nil, nil)
	check(t, err)
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteString("two")
	check(t, err)
	check(t, f.Close())
	check(t, os.Chtimes(name, info.ModTime(), info.ModTime()))
	r, err := s.Commit(ctx, nil, nil)
	check(t, err)
	wantFiles(t, r.Generation, files{"a": "two", "b": "same"})
}

// TestCommitListed: section 13 has the names, and when each resource changed; it does not change
// the root.
func TestCommitListed(t *testing.T) {
	ctx := context.Background()
	s, root := site(t, files{"a": "1", "b": "1"}, &digstore.StoreOptions{Listed: true})
	first, err := s.Commit(ctx, nil, nil)
	check(t, err)
	write(t, root, files{"b": "2"})
	second, err := s.Commit(ctx, nil, nil)
	check(t, err)
	m, err := second.Generation.Module().PublicManifest()
	check(t, err)
	want := []module.PublicEntry{
		{Path: "a", LatestRoot: first.Generation.Info().Root, GenerationIndex: 0, SHA256Latest: merkle.Sum([]byte("1")), VersionCount: 1},
		{Path: "b", LatestRoot: second.Generation.Info().Root, GenerationIndex: 1, SHA256Latest: merkle.Sum([]byte("2")), VersionCount: 2},
	}
	if fmt.Sprint(m.Entries) != fmt.Sprint(want) {
		t.Errorf("section 13 is %+v, want %+v", m.Entries, want)
	}
}

func TestPrivateStore(t *testing.T) {
	w, s := inMemory(t, &digstore.StoreOptions{Name: "p", Private: true})
	g := commit(t, s, files{"a": "secret"}, nil)
	check(t, w.Close())
	s, err := w.Store("p")
	check(t, err)
	g, err = s.At(g.Info().Root)
	check(t, err)
	wantFiles(t, g, files{"a": "secret"})
	res, err := g.Module().Find(urn.RetrievalKey(s.ID(), "a"))
	check(t, err)
	p, err := res.Open(urn.NewKey(s.ID(), "a", nil))
	if err == nil {
		_, err = p.Read(make([]byte, 10))
	}
	if !errors.Is(err, urn.ErrSealed) {
		t.Errorf("read without the salt: %v, want ErrSealed", err)
	}
}
