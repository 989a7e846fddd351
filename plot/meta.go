package plot

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sort"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

const (
	metaFixed      = 128
	datastoreSize  = 72
	anchorBodySize = 48
	sealBodySize   = 96
	chunkLog2      = 12
)

// metadata is the fixed part of C1. FORMAT.md §5.
type metadata struct {
	key         auth.NodePublicKey
	root        merkle.Hash // over the plot leaves in record order
	seed        merkle.Hash
	difficulty  int
	compression uint8
	content     uint64 // bytes of content of all records
	stored      uint64 // bytes of all distinct extents without padding
	datastores  uint32
}

func (m *metadata) encode() []byte {
	b := make([]byte, 0, metaFixed)
	b = append(b, m.key[:]...)
	b = append(b, m.root[:]...)
	b = append(b, m.seed[:]...)
	b = be.AppendUint32(b, uint32(m.difficulty))
	b = append(b, m.compression, blockLog2, chunkLog2, 0)
	b = be.AppendUint64(b, m.content)
	b = be.AppendUint64(b, m.stored)
	b = be.AppendUint32(b, m.datastores)
	return be.AppendUint32(b, 0)
}

// A Datastore is what a plot says of one generation of a datastore, of which
// it holds all or some capsules.
type Datastore struct {
	Store    auth.StoreID
	Root     merkle.Hash // over the leaves of all capsules of the generation
	Capsules uint32      // of the whole generation
}

func (d *Datastore) append(b []byte) []byte {
	b = append(b, d.Store[:]...)
	b = append(b, d.Root[:]...)
	b = be.AppendUint32(b, d.Capsules)
	return be.AppendUint32(b, 0)
}

// datastores is the list of C1 in its encoding, sorted by store.
type datastores []byte

func (l datastores) len() int { return len(l) / datastoreSize }

func (l datastores) at(i int) Datastore {
	b := l[i*datastoreSize:]
	return Datastore{Store: auth.StoreID(b[:32]), Root: merkle.Hash(b[32:64]),
		Capsules: be.Uint32(b[64:])}
}

func (l datastores) find(s auth.StoreID) (Datastore, bool) {
	i := sort.Search(l.len(), func(i int) bool {
		return bytes.Compare(l[i*datastoreSize:][:32],
			s[:]) >= 0
	})
	if i == l.len() || !bytes.Equal(l[i*datastoreSize:][:32], s[:]) {
		return Datastore{}, false
	}
	return l.at(i), true
}

// parseMeta reads the body of C1, which begins at offset at.
func parseMeta(b []byte, at int64, t *tableHeader, h *header) (*metadata, datastores, error) {
	if len(b) < metaFixed {
		return nil, nil, damaged(ErrTable, "C1", at, "%d bytes, expected at least %d", len(b),
			metaFixed)
	}
	m := &metadata{
		key: auth.NodePublicKey(b[:32]), root: merkle.Hash(b[32:64]), seed: merkle.Hash(b[64:96]),
		difficulty: int(be.Uint32(b[96:])), compression: b[100], content: be.Uint64(b[104:]),
		stored: be.Uint64(b[112:]), datastores: be.Uint32(b[120:]),
	}
	switch {
	case be.Uint32(b[96:]) != uint32(t.difficulty):
		return nil, nil, damaged(ErrTable, "C1", at+96, "difficulty %d, the table header says %d",
			be.Uint32(b[96:]), t.difficulty)
	case m.compression > codeZstd:
		return nil, nil, damaged(ErrTable, "C1", at+100, "compression %d, at most %d",
			m.compression, codeZstd)
	case b[101] != blockLog2 || b[102] != chunkLog2 || b[103] != 0:
		return nil, nil, damaged(ErrTable, "C1", at+101,
			"block size, chunk size or encoding differ from version 1")
	case be.Uint32(b[124:]) != 0:
		return nil, nil, damaged(ErrTable, "C1", at+124, "unused bytes are not zero")
	case m.datastores == 0 || m.datastores > h.capsules || t.entries != m.datastores:
		return nil, nil, damaged(ErrTable, "C1", at+120,
			"%d datastores for %d capsules, the table header says %d",
			m.datastores, h.capsules, t.entries)
	case int64(len(b)) != metaFixed+int64(m.datastores)*datastoreSize:
		return nil, nil, damaged(ErrTable, "C1", at, "%d bytes for %d datastores", len(b),
			m.datastores)
	}
	list := datastores(b[metaFixed:])
	for i := range list.len() {
		e := list[i*datastoreSize:][:datastoreSize]
		off := at + metaFixed + int64(i)*datastoreSize
		if i > 0 && bytes.Compare(list[(i-1)*datastoreSize:][:32], e[:32]) >= 0 {
			return nil, nil, damaged(ErrTable, fmt.Sprintf("C1 datastore %d", i), off,
				"is not in ascending order")
		}
		if be.Uint32(e[64:]) == 0 || be.Uint32(e[68:]) != 0 {
			return nil, nil, damaged(ErrTable, fmt.Sprintf("C1 datastore %d", i), off,
				"no capsules, or unused bytes that are not zero")
		}
	}
	return m, list, nil
}

func (a *Anchor) encode() []byte {
	b := make([]byte, 0, anchorBodySize)
	b = be.AppendUint32(b, a.Network)
	b = be.AppendUint32(b, 0)
	b = be.AppendUint64(b, a.Height)
	return append(b, a.Block[:]...)
}

// parseAnchor reads the body of C2.
func parseAnchor(b []byte, at int64) (Anchor, error) {
	if len(b) != anchorBodySize {
		return Anchor{}, damaged(ErrTable, "C2", at, "%d bytes, expected %d", len(b),
			anchorBodySize)
	}
	a := Anchor{Network: be.Uint32(b), Height: be.Uint64(b[8:]), Block: merkle.Hash(b[16:])}
	if a.Network > maxNetwork || be.Uint32(b[4:]) != 0 {
		return a, damaged(ErrTable, "C2", at, "network %d, at most %d", a.Network, maxNetwork)
	}
	if a.Network == 0 && (a.Height != 0 || !a.Block.IsZero()) {
		return a, damaged(ErrTable, "C2", at, "a block without a network")
	}
	return a, nil
}

// sealMessage returns what the owner of a plot signs.
func sealMessage(h *header, workHash merkle.Hash) []byte {
	b := []byte("dig:plot:seal:v1")
	b = append(b, h.id[:]...)
	b = append(b, workHash[:]...)
	b = be.AppendUint64(b, h.created)
	return be.AppendUint32(b, h.capsules)
}

// checkSeal checks the body of C7 against the key of C1. workHash is the table
// hash of C6.
func checkSeal(b []byte, at int64, h *header, key auth.NodePublicKey, workHash merkle.Hash) error {
	if len(b) != sealBodySize {
		return damaged(ErrTable, "C7", at, "%d bytes, expected %d", len(b), sealBodySize)
	}
	if !bytes.Equal(b[:32], key[:]) {
		return damaged(ErrTable, "C7", at, "key %x, C1 says %x", b[:32], key[:])
	}
	if err := key.Verify(sealMessage(h, workHash), auth.NodeSignature(b[32:])); err != nil {
		return damaged(ErrTable, "C7", at, "%v", err)
	}
	return nil
}

func bodyHash(b []byte) merkle.Hash { return sha256.Sum256(b) }
