package digstore_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

// The fuzz targets replace one file of a workspace by arbitrary bytes and then call every public
// function. Each read must return the right content or a named error, and nothing may panic.

// fuzzFile fuzzes the first file below .dig with the suffix. fix corrects the checksums, so that
// the code after the check is reached.
func fuzzFile(f *testing.F, suffix string, generations int, fix func(b []byte)) {
	base, truth := richDisk(f, generations)
	var name string
	for _, n := range allFiles(f, base, filepath.Join(home, ".dig")) {
		if strings.HasSuffix(n, suffix) && name == "" {
			name = n
		}
	}
	if name == "" {
		f.Fatalf("no file is named …%s", suffix)
	}
	text := must(diskfs.ReadFile(base, name, 1<<30))
	for _, fixed := range []bool{false, true} {
		f.Add(text, fixed)
		f.Add([]byte{}, fixed)
		f.Add(text[:len(text)/2], fixed)
	}
	f.Fuzz(func(t *testing.T, b []byte, fixed bool) {
		if fixed && fix != nil {
			b = bytes.Clone(b)
			fix(b)
		}
		disk := base.Recover(1)
		check(t, diskfs.WriteFile(disk, name, b, 0o600))
		commit := crc32.ChecksumIEEE(b)%8 == 0 // a commit takes most of the time
		if err := readsRight(disk, truth, commit); err != nil {
			t.Fatal(err)
		}
	})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fixSum corrects the checksum of a file that has it after a magic of 8 bytes.
func fixSum(b []byte) {
	if len(b) >= 12 {
		binary.BigEndian.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	}
}

// fixPack corrects the footer of a pack: the checksum and the offset of the index.
func fixPack(b []byte) {
	if len(b) < 32 {
		return
	}
	foot := b[len(b)-24:]
	rows := int(binary.BigEndian.Uint32(foot[8:]) % uint32(len(b)/44+1))
	if at := len(b) - 24 - 44*rows; at >= 8 {
		binary.BigEndian.PutUint64(foot, uint64(at))
		binary.BigEndian.PutUint32(foot[8:], uint32(rows))
		binary.BigEndian.PutUint32(foot[12:], crc32.Checksum(b[at:len(b)-24], castagnoli))
		copy(foot[16:], "DIGPEND1")
	}
}

// fixProofs corrects the checksums of all blocks.
func fixProofs(b []byte) {
	for i := 0; (i+1)*64 <= len(b); i++ {
		block, sum := b[i*64:(i+1)*64], uint32(0)
		if i > 0 {
			sum = crc32.Checksum(binary.BigEndian.AppendUint64(nil, uint64(i-1)), castagnoli)
		}
		binary.BigEndian.PutUint32(block[60:], crc32.Update(sum, castagnoli, block[:60]))
	}
}

func FuzzHistory(f *testing.F)   { fuzzFile(f, "roots.log", 2, nil) }
func FuzzProofs(f *testing.F)    { fuzzFile(f, "roots.proof", 2, fixProofs) }
func FuzzSettings(f *testing.F)  { fuzzFile(f, "config.toml", 2, nil) }
func FuzzWorkspace(f *testing.F) { fuzzFile(f, "workspace.toml", 2, nil) }
func FuzzRecipe(f *testing.F)    { fuzzFile(f, ".recipe", 1, nil) }
func FuzzPack(f *testing.F)      { fuzzFile(f, ".pack", 1, fixPack) }
func FuzzPackIndex(f *testing.F) { fuzzFile(f, ".idx", 9, fixSum) }
func FuzzStaging(f *testing.F)   { fuzzFile(f, ".staging.bin", 2, nil) }
func FuzzPins(f *testing.F)      { fuzzFile(f, "pins.json", 2, nil) }
func FuzzRemotes(f *testing.F)   { fuzzFile(f, "remotes.toml", 2, nil) }
func FuzzTombstone(f *testing.F) { fuzzFile(f, ".tomb", 2, nil) }
func FuzzSignature(f *testing.F) { fuzzFile(f, ".sig", 2, nil) }
func FuzzKeyFile(f *testing.F)   { fuzzFile(f, "signing_key.bin", 2, nil) }
func FuzzPending(f *testing.F)   { fuzzFile(f, ".json", 2, nil) }
func FuzzPendingPack(f *testing.F) {
	base, _ := richDisk(f, 2)
	rel := releases(3)
	pack := filepath.Join(home, ".dig/stores/site/pending", rel[2].line.Root.String()+".pack")
	f.Add(must(diskfs.ReadFile(base, pack, 1<<20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := base.Recover(1)
		fixPack(b)
		check(t, diskfs.WriteFile(disk, pack, b, 0o600))
		w := must(digstore.Open(home, sweepOptions(disk)))
		defer w.Close()
		if err := w.Promote(ctx, siteID, rel[2].line.Root); err != nil {
			check(t, named(err))
			return
		}
		check(t, generationReadsRight(must(w.Store("site")), rel[2].line.Root, rel[2].module))
	})
}

// FuzzStatIndex: an invalid index is ignored. An index with a valid checksum is used, but causes no
// panic.
func FuzzStatIndex(f *testing.F) {
	disk, content := diskfs.NewCrash(home), f.TempDir()
	write(f, content, version(0))
	w := must(digstore.Init(home, sweepOptions(disk)))
	s := must(w.Create(ctx, siteID,
		&digstore.StoreOptions{Name: "site", Key: publisher, ContentRoot: content}))
	must(s.Commit(ctx, nil, nil))
	write(f, content, files{"index.html": "<p>changed"})
	check(f, w.Close())
	name := filepath.Join(home, ".dig/stores/site/statindex")
	base, text := disk.Recover(1), must(diskfs.ReadFile(disk, name, 1<<20))
	again := func(t testing.TB, index []byte) (*digstore.CommitReport, error) {
		disk := base.Recover(1)
		check(t, diskfs.WriteFile(disk, name, index, 0o600))
		w := must(digstore.Open(home, sweepOptions(disk)))
		defer w.Close()
		return must(w.Store("site")).Commit(ctx, nil, nil)
	}
	want := must(again(f, nil)).Generation.Info().Root
	f.Add(text)
	f.Add(text[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		if crc32.ChecksumIEEE(b)%2 == 0 { // a commit takes all of the time
			fixSum(b)
			_, _ = again(t, b)
			return
		}
		if r, err := again(t, b); err != nil || r.Generation.Info().Root != want {
			t.Fatalf("another generation, or %v", err)
		}
	})
}

// FuzzJournal: a transfer resumed from any journal ends in the module that was sent, at the latest
// in the second attempt.
func FuzzJournal(f *testing.F) {
	rel := releases(1)[0]
	disk := diskfs.NewCrash(home)
	w := must(digstore.Init(home, sweepOptions(disk)))
	check(f, emptySite(w))
	s := must(w.Store("site"))
	broken := bytes.NewReader(rel.module[:len(rel.module)-500])
	if err := s.Install(ctx, []module.Generation{rel.line}, rel.head, broken, deep); err == nil {
		f.Fatal("half a module was installed")
	}
	if must(s.Held(ctx, rel.line.Root)) == 0 {
		f.Fatal("nothing was kept of a transfer that broke off")
	}
	check(f, w.Close())
	base := disk.Recover(1)
	for _, name := range []string{"journal", "pack.tmp"} {
		f.Add(name == "journal",
			must(diskfs.ReadFile(base,
				filepath.Join(home, ".dig/stores/site/incoming", rel.line.Root.String(), name), 1<<20)))
	}
	f.Fuzz(func(t *testing.T, journal bool, b []byte) {
		name := "pack.tmp"
		if journal {
			name = "journal"
		}
		disk := base.Recover(1)
		check(t,
			diskfs.WriteFile(disk,
				filepath.Join(home, ".dig/stores/site/incoming", rel.line.Root.String(), name), b, 0o600))
		w := must(digstore.Open(home, sweepOptions(disk)))
		defer w.Close()
		s := must(w.Store("site"))
		if at := must(s.Held(ctx, rel.line.Root)); at > int64(len(rel.module)) {
			check(t, s.Discard(ctx, rel.line.Root)) // as the client does
		}
		if err := transfer(s, []module.Generation{rel.line}, rel); err != nil {
			check(t, transfer(s, []module.Generation{rel.line}, rel))
		}
		check(t, generationReadsRight(s, rel.line.Root, rel.module))
	})
}

// FuzzKnownStores: a damaged file is refused, and not read as an empty one.
func FuzzKnownStores(f *testing.F) {
	key := publisher.PublicKey()
	f.Add([]byte(`{"` + siteID.String() + `":"` + key.String() + `"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "known_stores.json")
		check(t, os.WriteFile(name, b, 0o600))
		k := digstore.OpenKnownStores(name)
		_, _, err := k.Known(ctx, siteID)
		if err != nil {
			check(t, named(err))
			return
		}
		check(t, k.Remember(ctx, siteID, key))
		if got, ok, err := k.Known(ctx, siteID); err != nil || !ok || got != key {
			t.Fatalf("remembered, then %v %v %v", got, ok, err)
		}
	})
}

// FuzzNames: the names parsed from any list that a generation has can be opened.
func FuzzNames(f *testing.F) {
	base, _ := richDisk(f, 2)
	w := must(digstore.Open(home, sweepOptions(base)))
	g := must(must(w.Store("site")).Latest())
	f.Add("index.html\turn:dig:chia:" + siteID.String() + "/index.html\nempty\n")
	f.Add(`{"resources":[{"key":"index.html"},{"urn":"urn:dig:chia:` + siteID.String() + `/a/same.bin"}]}`)
	f.Add(`["a/same.bin", "\u0000"]`)
	f.Fuzz(func(t *testing.T, text string) {
		names, err := digstore.ParseNames(strings.NewReader(text))
		if err != nil {
			return
		}
		have, _, err := g.WithNames(names).Names()
		check(t, err)
		for _, n := range have {
			if _, err := g.Resource(n); err != nil {
				t.Fatalf("a name that counts leads nowhere: %v", err)
			}
		}
	})
}
