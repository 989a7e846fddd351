package digstore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

func FuzzPublishing(f *testing.F) {
	fuzzFile(f, "publishing", 2, func(b []byte) {
		if n := len(b) - 4; n > 0 {
			binary.BigEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
		}
	})
}

// FuzzHistoryIndex: an invalid index is ignored. An index with valid checksums may hide a line, but
// what it finds is right, and the log is not changed.
func FuzzHistoryIndex(f *testing.F) {
	lines := imagined(0, 600)
	disk := diskfs.NewCrash(home)
	w, _ := siteOn(f, disk)
	appendLog(f, disk, logText(lines))
	writeNothing(f, w)
	check(f, w.Close())
	base := disk.Recover(1)
	name := indexFiles(f, base)[0]
	text := must(diskfs.ReadFile(base, name, 1<<20))
	f.Add(text)
	f.Add(text[:4200])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := base.Recover(1)
		check(t, diskfs.WriteFile(disk, name, b, 0o600))
		_, s := siteOn(t, disk)
		if got := must(s.Generations(ctx)); len(got) != len(lines) || got[300] != lines[300] {
			t.Fatalf("%d lines", len(got))
		}
		if !bytes.Equal(b, text) {
			fixed := bytes.Clone(b)
			fixIndex(fixed)
			check(t, diskfs.WriteFile(disk, name, fixed, 0o600))
			_, s = siteOn(t, disk)
		}
		for _, want := range []int{0, 77, 599} {
			g, err := s.Line(ctx, lines[want].Root)
			if err == nil && g != lines[want] || err != nil && !errors.Is(err, fs.ErrNotExist) &&
				!errors.Is(err, digstore.ErrCorrupt) {
				t.Fatalf("line %d: %v, %v", want, g, err)
			}
			if tail := must(s.Tail(ctx, want+1)); len(tail) != want+1 || tail[0] != lines[599-want] {
				t.Fatalf("tail of %d: %d lines", want+1, len(tail))
			}
		}
	})
}

// fixIndex corrects the checksums of a history index.
func fixIndex(b []byte) {
	if len(b) < 56 {
		return
	}
	binary.BigEndian.PutUint32(b[52:], crc32.Checksum(b[:52], castagnoli))
	for at := 56; at+4096 <= len(b); at += 4096 {
		binary.BigEndian.PutUint32(b[at+4092:], crc32.Checksum(b[at:at+4092], castagnoli))
	}
}

// FuzzParts: a transfer resumed from any bytes in its pack ends in the module that was sent.
func FuzzParts(f *testing.F) {
	rel := releases(1)[0]
	recipe, chunks := takenApart(rel.module)
	disk := diskfs.NewCrash(home)
	w := must(digstore.Init(home, sweepOptions(disk)))
	check(f, emptySite(w))
	check(f, assembleSome(rel).do(w))
	check(f, w.Close())
	base := disk.Recover(1)
	name := filepath.Join(siteDir, "incoming", rel.line.Root.String()+".parts", "pack.tmp")
	text := must(diskfs.ReadFile(base, name, 1<<20))
	f.Add(text)
	f.Add(text[:len(text)-3])
	f.Add([]byte("DIGPACK1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := base.Recover(1)
		check(t, diskfs.WriteFile(disk, name, b, 0o600))
		w := must(digstore.Open(home, sweepOptions(disk)))
		defer w.Close()
		s := must(w.Store("site"))
		lacking := must(s.MissingChunks(ctx, recipe))
		check(t, s.Assemble(ctx, []module.Generation{rel.line}, rel.head,
			module.Assembly{Recipe: recipe, Fetch: putting(recipe, chunks, lacking)}, deep))
		check(t, generationReadsRight(s, rel.line.Root, rel.module))
	})
}
