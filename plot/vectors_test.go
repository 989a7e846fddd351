package plot_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

// pattern is the content that the plot vectors describe as pattern(seed,size).
func pattern(seed uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(uint32(i)>>6*2654435761>>13) ^ byte(seed)
	}
	return b
}

func parsePattern(t testing.TB, s string) []byte {
	t.Helper()
	var seed uint32
	var n int
	if _, err := fmt.Sscanf(s, "pattern(%d,%d)", &seed, &n); err != nil {
		t.Fatalf("content %q: %v", s, err)
	}
	return pattern(seed, n)
}

// A golden is plot-file.json.
type golden struct {
	Datastores []struct {
		DatastoreID  vectors.Hex `json:"datastore_id"`
		CapsuleCount int         `json:"capsule_count"`
		MerkleRoot   vectors.Hex `json:"merkle_root"`
		Contents     string
	}
	Records []struct {
		DatastoreID   vectors.Hex `json:"datastore_id"`
		CapsuleIndex  uint32      `json:"capsule_index"`
		CapsuleSize   uint32      `json:"capsule_size"`
		CapsuleHash   vectors.Hex `json:"capsule_hash"`
		ChunkRoot     vectors.Hex `json:"chunk_root"`
		PlotOffset    int64       `json:"plot_offset"`
		CreationNonce uint64      `json:"creation_nonce"`
	}
	NodeSeed     vectors.Hex `json:"node_seed"`
	CreationTime int64       `json:"creation_time"`
	Network      uint32
	BlockHeight  uint64      `json:"block_height"`
	BlockHash    vectors.Hex `json:"block_hash"`
	Difficulty   int
	PlotID       vectors.Hex `json:"plot_id"`
	FileSize     int64       `json:"file_size"`
	File         string      `json:"file_gzip_base64"`
}

func loadGolden(t testing.TB) (g golden, file []byte) {
	t.Helper()
	vectors.Load(t, "plot-file.json", &g)
	b, err := base64.StdEncoding.DecodeString(g.File)
	check(t, err)
	z, err := gzip.NewReader(bytes.NewReader(b))
	check(t, err)
	file, err = io.ReadAll(z)
	check(t, err)
	return g, file
}

// datastores makes the contents that the golden plot describes.
func (g *golden) datastores(t testing.TB) (list []datastore,
	keep func(auth.StoreID, capsule.Descriptor) bool) {
	t.Helper()
	type key struct {
		store auth.StoreID
		index uint32
	}
	kept := map[key]bool{}
	for _, r := range g.Records {
		kept[key{auth.StoreID(r.DatastoreID), r.CapsuleIndex}] = true
	}
	for _, d := range g.Datastores {
		var contents [][]byte
		text := strings.ReplaceAll(strings.TrimPrefix(d.Contents, "capsule "), " = ", "=")
		for _, part := range strings.Fields(strings.ReplaceAll(text, ";", " ")) {
			if _, content, ok := strings.Cut(part, "="); ok && len(contents) < d.CapsuleCount {
				contents = append(contents, parsePattern(t, content))
			}
		}
		ds := newDatastore(t, d.DatastoreID[0], contents...)
		if ds.manifest.Root != merkle.Hash(d.MerkleRoot) {
			t.Fatalf("datastore %s has root %s, expected %s", d.DatastoreID, ds.manifest.Root,
				d.MerkleRoot)
		}
		list = append(list, ds)
	}
	return list, func(s auth.StoreID, d capsule.Descriptor) bool { return kept[key{s, d.Index}] }
}

// The golden plot is written byte for byte, by any number of workers.
func TestGoldenWrite(t *testing.T) {
	g, want := loadGolden(t)
	list, keep := g.datastores(t)
	for _, workers := range []int{1, 2, 16} {
		o := &plot.Options{
			Compression: plot.None, Difficulty: g.Difficulty, Created: time.Unix(g.CreationTime,
				0), Workers: workers, Keep: keep,
			Anchor: plot.Anchor{Network: g.Network, Height: g.BlockHeight,
				Block: merkle.Hash(g.BlockHash)},
		}
		dir := t.TempDir()
		w, err := plot.Create(t.Context(), dir, manifests(list...),
			auth.NewNodeKey([32]byte(g.NodeSeed)), o)
		check(t, err)
		check(t, add(w, list...))
		info, err := w.Seal(t.Context())
		check(t, err)
		check(t, w.Close())
		if info.ID != merkle.Hash(g.PlotID) {
			t.Errorf("plot id %s, expected %s", info.ID, g.PlotID)
		}
		got := readFile(t, onlyPlot(t, dir))
		if !bytes.Equal(got, want) {
			t.Errorf("%d workers: %d bytes differ from the golden %d at offset %d", workers,
				len(got), len(want), mismatch(got, want))
		}
	}
}

func mismatch(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// The golden plot is read, by key and by hash, with and without records in
// memory.
func TestGoldenRead(t *testing.T) {
	g, file := loadGolden(t)
	list, _ := g.datastores(t)
	for _, records := range []int{0, -1} {
		r, err := plot.NewReader(bytes.NewReader(file), int64(len(file)),
			&plot.ReadOptions{MaxRecords: records})
		check(t, err)
		for _, level := range []plot.Level{plot.Quick, plot.Full} {
			if _, err := r.Verify(t.Context(), level, nil); err != nil {
				t.Errorf("verify: %v", err)
			}
		}
		for _, want := range g.Records {
			rec, err := r.Lookup(auth.StoreID(want.DatastoreID), want.CapsuleIndex)
			check(t, err)
			if rec.Offset != want.PlotOffset || rec.Size != want.CapsuleSize ||
				rec.Hash != merkle.Hash(want.CapsuleHash) {
				t.Errorf("record %+v, expected %+v", rec, want)
			}
			d, err := r.Descriptor(rec)
			check(t, err)
			if d.ChunkRoot != merkle.Hash(want.ChunkRoot) {
				t.Errorf("chunk root %s, expected %s", d.ChunkRoot, want.ChunkRoot)
			}
			c, err := r.Capsule(d, plot.Verified)
			check(t, err)
			got, err := io.ReadAll(c)
			check(t, err)
			for _, ds := range list {
				if ds.manifest.Store == rec.Store && !bytes.Equal(got, ds.contents[rec.Index]) {
					t.Errorf("content of %+v differs", rec)
				}
			}
			if _, err := r.DatastoreProof(rec); err != nil {
				t.Error(err)
			}
		}
	}
}

// The records and both bucket indexes of C3 are those of plot-index.json.
func TestIndexVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Records  uint32
			PlotID   vectors.Hex `json:"plot_id"`
			Sum      vectors.Hex `json:"records_sha256"`
			KeyLog2  int         `json:"key_log2"`
			HashLog2 int         `json:"hash_log2"`
			KeySum   vectors.Hex `json:"key_index_sha256"`
			HashSum  vectors.Hex `json:"hash_index_sha256"`
		}
	}
	vectors.Load(t, "plot-index.json", &file)
	for _, c := range file.Cases {
		var records []plot.Record
		for i := range c.Records {
			store := binary.BigEndian.AppendUint32([]byte("ds"), i/100)
			content := binary.BigEndian.AppendUint32([]byte("cap"), i)
			records = append(records, plot.Record{Store: auth.StoreID(merkle.Sum(store)),
				Index: i % 100, Size: i, Hash: merkle.Sum(content), Offset: int64(i+2) * 4096})
		}
		slices.SortFunc(records, func(a, b plot.Record) int {
			return cmp.Or(bytes.Compare(a.Store[:], b.Store[:]), cmp.Compare(a.Index, b.Index))
		})
		b, err := plot.EncodeIndex(merkle.Hash(c.PlotID), records)
		check(t, err)
		keyOff, hashOff := binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[32:])
		if len(b) != int(hashOff)+4096<<c.HashLog2 || hashOff != keyOff+4096<<c.KeyLog2 {
			t.Errorf("%d records: indexes of %d and %d bytes, expected 2^%d and 2^%d pages",
				c.Records, hashOff-keyOff, len(b)-int(hashOff), c.KeyLog2, c.HashLog2)
		}
		for part, x := range map[string]struct{ got, want []byte }{
			"records":    {b[4096:][:c.Records*80], c.Sum},
			"key index":  {b[keyOff:hashOff], c.KeySum},
			"hash index": {b[hashOff:], c.HashSum},
		} {
			if merkle.Sum(x.got) != merkle.Hash(x.want) {
				t.Errorf("%s of %d records differs", part, c.Records)
			}
		}
	}
}
