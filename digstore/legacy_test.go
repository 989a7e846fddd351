package digstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// workspaceVectors is store/workspace.json.
type workspaceVectors struct {
	Origin  string
	Staging []struct {
		Name    string
		File    vectors.Hex `json:"file_hex"`
		Records []struct {
			Key     string
			Content vectors.Hex `json:"content_hex"`
		}
	}
	StagingReject []struct {
		Name string
		File vectors.Hex `json:"file_hex"`
	} `json:"staging_reject"`
	RootsLog []struct {
		Text    string
		Entries []struct {
			ID        uint64
			Root      merkle.Hash
			Timestamp int64
		}
	} `json:"roots_log"`
	Manifest struct {
		StoreID auth.StoreID `json:"store_id"`
		Files   []struct {
			Key       string
			Plaintext vectors.Hex    `json:"plaintext_hex"`
			Gen       *vectors.Input `json:"plaintext_gen"`
		}
		Text string
	} `json:"manifest_json"`
	Config struct {
		Public  string
		Private string
		Reject  string `json:"reject_private_without_salt"`
	} `json:"config_toml"`
	SigningKey struct {
		Seed      vectors.Hex    `json:"seed_hex"`
		PublicKey auth.PublicKey `json:"public_key"`
	} `json:"signing_key_bin"`
	TrustedKeys string  `json:"trusted_keys_json"`
	SigFile     fileHex `json:"sig_file"`
	Tombstone   fileHex `json:"tombstone_file"`
	Workspace   string  `json:"workspace_toml"`
	Anchor      string  `json:"anchor_toml"`
	Remotes     string  `json:"remotes_toml"`
}

type fileHex struct {
	Path  string
	Bytes vectors.Hex `json:"bytes_hex"`
}

// TestReferenceWorkspace puts the files of the vectors where the reference implementation has them,
// and reads all of them.
func TestReferenceWorkspace(t *testing.T) {
	ctx := context.Background()
	var v workspaceVectors
	vectors.Load(t, "store/workspace.json", &v)
	disk := diskfs.NewCrash("/ws")
	dir := "/ws/.dig/stores/site"
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, filepath.FromSlash(name))
		check(t, diskfs.MkdirAll(disk, filepath.Dir(name), 0o755))
		check(t, diskfs.WriteFile(disk, name, []byte(text), 0o600))
	}
	id := v.Manifest.StoreID
	var root merkle.Hash
	put("../../workspace.toml",
		fmt.Sprintf("active = \"site\"\n[stores.site]\nid = %q\ncontent_root = \"dist\"\n", id))
	put("config.toml", v.Config.Public)
	put("signing_key.bin", string(v.SigningKey.Seed))
	put("trusted_keys.json", v.TrustedKeys)
	put(v.SigFile.Path, string(v.SigFile.Bytes))
	put(v.Tombstone.Path, string(v.Tombstone.Bytes))
	put("remotes.toml", v.Remotes)
	put("anchor.toml", v.Anchor)
	want := files{}
	for _, f := range v.Manifest.Files {
		want[f.Key] = string(f.Plaintext)
		if f.Gen != nil {
			want[f.Key] = string(*f.Gen)
		}
	}
	// The chunk files: sealed here, under the ids that the manifest names.
	root = rootIn(t, v.Manifest.Text)
	put("generations/"+root.String()+"/manifest.json", v.Manifest.Text)
	put("roots.log", fmt.Sprintf("0\t%s\t1717000000\n", root))
	_, made := inMemoryOf(t, id)
	check(t, made.ImportKey(ctx, auth.NewKey([32]byte(v.SigningKey.Seed))))
	g := commit(t, made, want, nil)
	for r, err := range g.Module().Resources() {
		check(t, err)
		sealed := r.Sealed()
		for _, c := range r.Chunks() {
			b := make([]byte, c.Len)
			_, err := readFull(sealed, b)
			check(t, err)
			put("generations/"+root.String()+"/chunks/"+c.ID.String(), string(b))
		}
	}

	w, err := digstore.Open("/ws", options(disk))
	check(t, err)
	defer w.Close()
	s, err := w.Active()
	check(t, err)
	if s.ID() != id || s.ContentRoot() != filepath.FromSlash("/ws/dist") ||
		s.MaxSize() != 128_000_000 {
		t.Errorf("store %s, content root %s, cap %d", s.ID(), s.ContentRoot(), s.MaxSize())
	}
	old, err := s.Latest()
	check(t, err)
	wantFiles(t, old, want)
	if names, unnamed, err := old.Names(); err != nil || unnamed != 0 || len(names) != len(want) {
		t.Errorf("names %q, %d without, %v", names, unnamed, err)
	}
	key, err := s.Signer()
	check(t, err)
	if key.PublicKey() != v.SigningKey.PublicKey || old.PublicKey() != v.SigningKey.PublicKey {
		t.Errorf("keys %s and %s, want %s", key.PublicKey(), old.PublicKey(), v.SigningKey.PublicKey)
	}
	if rep, err := s.Verify(ctx, root, &digstore.VerifyOptions{Deep: true}); err != nil ||
		!rep.Signed {
		t.Errorf("verify: %+v, %v", rep, err)
	}
	stones, err := s.Tombstones(ctx, id)
	check(t, err)
	if len(stones) != 1 || stones[0].Root != root {
		t.Errorf("tombstones: %v", stones)
	}
	url, err := s.Remote("origin")
	check(t, err)
	if !strings.HasPrefix(url, "dig://") {
		t.Errorf("origin is %q", url)
	}
	// A new generation goes to packs; both can be read.
	want["new"] = "new"
	next := commit(t, s, want, nil)
	wantFiles(t, next, want)
	wantFiles(t, must(s.At(root)),
		files{"index.html": want["index.html"], "zeros.bin": want["zeros.bin"]})
	verifyAll(t, s)
	vectors.Count(t, "store/workspace.json, a whole workspace", 1, 0)
}

func TestWorkspaceFileVectors(t *testing.T) {
	ctx := context.Background()
	var v workspaceVectors
	vectors.Load(t, "store/workspace.json", &v)
	passed := 0
	for _, c := range v.Staging {
		disk := diskfs.NewCrash("/ws")
		w, err := digstore.Init("/ws", options(disk))
		check(t, err)
		s, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "s"})
		check(t, err)
		check(t,
			diskfs.WriteFile(disk, "/ws/.dig/stores/s/"+s.ID().String()+".staging.bin", c.File, 0o600))
		list, err := s.Staged()
		check(t, err)
		if len(list) != len(c.Records) {
			t.Errorf("%s: %v", c.Name, list)
		}
		for i, r := range c.Records {
			if list[i].Name != r.Key || list[i].Size != int64(len(r.Content)) {
				t.Errorf("%s: record %d is %v", c.Name, i, list[i])
			}
		}
		if len(list) > 0 {
			rep, err := s.Commit(ctx, nil, nil)
			check(t, err)
			want := files{}
			for _, r := range c.Records {
				want[r.Key] = string(r.Content)
			}
			wantFiles(t, rep.Generation, want)
		}
		passed++
	}
	for _, c := range v.StagingReject {
		disk := diskfs.NewCrash("/ws")
		w, err := digstore.Init("/ws", options(disk))
		check(t, err)
		s, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "s"})
		check(t, err)
		check(t,
			diskfs.WriteFile(disk, "/ws/.dig/stores/s/"+s.ID().String()+".staging.bin", c.File, 0o600))
		if _, err := s.Staged(); !errors.Is(err, digstore.ErrCorrupt) {
			t.Errorf("%s: Staged: %v", c.Name, err)
		}
		if _, err := s.Commit(ctx, nil, nil); !errors.Is(err, digstore.ErrCorrupt) {
			t.Errorf("%s: Commit: %v", c.Name, err)
		}
		_, err = s.Unstage(ctx)
		check(t, err)
		commit(t, s, files{"a": "b"}, nil)
		passed++
	}
	for _, c := range v.RootsLog {
		disk := diskfs.NewCrash("/ws")
		w, err := digstore.Init("/ws", options(disk))
		check(t, err)
		s, err := w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "s"})
		check(t, err)
		check(t, diskfs.WriteFile(disk, "/ws/.dig/stores/s/roots.log", []byte(c.Text), 0o600))
		gens, err := s.Generations(ctx)
		check(t, err)
		if len(gens) != len(c.Entries) {
			t.Fatalf("%v", gens)
		}
		for i, e := range c.Entries {
			if gens[i].Number != e.ID || gens[i].Root != e.Root || gens[i].Time.Unix() != e.Timestamp {
				t.Errorf("line %d is %v", i, gens[i])
			}
		}
		passed++
	}
	disk := diskfs.NewCrash("/ws")
	w, err := digstore.Init("/ws", options(disk))
	check(t, err)
	_, err = w.Create(ctx, v.Manifest.StoreID, &digstore.StoreOptions{Name: "s"})
	check(t, err)
	for text, private := range map[string]bool{v.Config.Public: false, v.Config.Private: true} {
		check(t, diskfs.WriteFile(disk, "/ws/.dig/stores/s/config.toml", []byte(text), 0o600))
		check(t, w.Close())
		s := must(w.Store("s"))
		if s.Private() != private {
			t.Errorf("private: %v, want %v", s.Private(), private)
		}
		passed++
	}
	check(t, diskfs.WriteFile(disk, "/ws/.dig/stores/s/config.toml", []byte(v.Config.Reject), 0o600))
	check(t, w.Close())
	if _, err := w.Store("s"); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("a private store without salt: %v", err)
	}
	vectors.Count(t, "store/workspace.json, files", passed+1, 0)
}

// TestReferenceModules: modules of the reference implementation are read in place.
func TestReferenceModules(t *testing.T) {
	ctx := context.Background()
	names := vectors.Glob(t, "store/modules/*.dig")
	passed, skipped := 0, 0
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".dig")
		b := vectors.File(t, name)
		m, err := module.Open(strings.NewReader(string(b)), int64(len(b)))
		if err != nil || m.Verify(ctx) != nil { // a negative vector
			skipped++
			continue
		}
		id, root := m.ID().Store, m.ID().Root
		disk := diskfs.NewCrash("/ws")
		w, err := digstore.Init("/ws", options(disk))
		check(t, err)
		s, err := w.Create(ctx, id, &digstore.StoreOptions{Name: "s"})
		check(t, err)
		check(t, diskfs.MkdirAll(disk, "/ws/.dig/stores/s/modules", 0o755))
		check(t,
			diskfs.WriteFile(disk, fmt.Sprintf("/ws/.dig/stores/s/modules/%s-%s.dig", id, root), b, 0o600))
		check(t, diskfs.WriteFile(disk, "/ws/.dig/stores/s/roots.log",
			fmt.Appendf(nil, "0\t%s\t1\n", root), 0o600))
		_, err = s.Verify(ctx, root, &digstore.VerifyOptions{Deep: true})
		check(t, err)
		if string(moduleOf(t, s, root)) != string(b) {
			t.Errorf("%s is not given back bit for bit", base)
		}
		passed++
	}
	vectors.Count(t, "store/modules/*.dig in modules/", passed, skipped)
}

func TestOldestLayout(t *testing.T) {
	disk := diskfs.NewCrash("/ws")
	check(t, diskfs.MkdirAll(disk, "/ws/.dig", 0o755))
	id := auth.StoreID{1, 2, 3}
	check(t, diskfs.WriteFile(disk, "/ws/.dig/config.toml",
		fmt.Appendf(nil, "store_id = %q\nvisibility = \"public\"\ndata_dir=\"x\"\nmax_size=5\n",
			id), 0o600))
	check(t, diskfs.WriteFile(disk, "/ws/.dig/roots.log",
		fmt.Appendf(nil, "0\t%s\t1\n", merkle.Hash{1}), 0o600))
	if _, err := digstore.Find("/ws/below", options(disk)); !errors.Is(err, digstore.ErrOldLayout) {
		t.Errorf("find: %v, want ErrOldLayout", err)
	}
	if _, err := digstore.Init("/ws", options(disk)); !errors.Is(err, digstore.ErrOldLayout) {
		t.Errorf("init: %v, want ErrOldLayout", err)
	}
	if list, err := disk.ReadDir("/ws/.dig"); err != nil || len(list) != 2 {
		t.Errorf("open has changed .dig to %v, %v", list, err)
	}
	for i := range 2 {
		changed, err := digstore.Migrate(ctx, "/ws", options(disk))
		check(t, err)
		if changed != (i == 0) {
			t.Errorf("migration %d changed something: %v", i, changed)
		}
		w, err := digstore.Open("/ws", options(disk))
		check(t, err)
		s, err := w.Store("default")
		check(t, err)
		gens, err := s.Generations(context.Background())
		check(t, err)
		if s.ID() != id || len(gens) != 1 || s.MaxSize() != 5 {
			t.Errorf("store %s, %v", s.ID(), gens)
		}
		if _, err := s.At(gens[0].Root); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a generation that is not held: %v", err)
		}
	}
}
