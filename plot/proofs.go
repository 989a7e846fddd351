package plot

import (
	"fmt"
	"io"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// C5 holds for each record its chunk root, the subroots of its blocks, and its
// path in the tree of its datastore. FORMAT.md §9.
const (
	merkleHead      = 16
	merkleEntrySize = 64
	stepSize        = 33
	hashSize        = 32
	subrootLog2     = 5
)

type merkleEntry struct {
	chunkRoot   merkle.Hash
	subrootsOff int64 // from the start of the body
	pathOff     int64
	subroots    int
	path        int
}

func (e *merkleEntry) append(b []byte) []byte {
	b = append(b, e.chunkRoot[:]...)
	b = be.AppendUint64(b, uint64(e.subrootsOff))
	b = be.AppendUint64(b, uint64(e.pathOff))
	b = be.AppendUint32(b, uint32(e.subroots))
	b = be.AppendUint32(b, uint32(e.path))
	return be.AppendUint64(b, 0)
}

// parseMerkleEntry reads the entry of record i, which has size bytes of
// content, in a table whose body has bodySize bytes and begins at offset at.
func parseMerkleEntry(b []byte, i int64, size uint32, records uint32, bodySize,
	at int64) (merkleEntry, error) {
	part, off := fmt.Sprintf("C5 entry %d", i), at+merkleHead+i*merkleEntrySize
	e := merkleEntry{chunkRoot: merkle.Hash(b[:32])}
	subrootsOff, pathOff := be.Uint64(b[32:]), be.Uint64(b[40:])
	subroots, path := be.Uint32(b[48:]), be.Uint32(b[52:])
	first := uint64(merkleHead + int64(records)*merkleEntrySize)
	switch {
	case subroots != uint32(subrootsOf(size)):
		return e, damaged(ErrTable, part, off, "%d subroots, expected %d", subroots,
			subrootsOf(size))
	case path > maxPath:
		return e, damaged(ErrTable, part, off, "path of %d steps, at most %d", path, maxPath)
	case be.Uint64(b[56:]) != 0:
		return e, damaged(ErrTable, part, off, "unused bytes are not zero")
	case subrootsOff < first || subrootsOff > uint64(bodySize) ||
		pathOff != subrootsOff+uint64(subroots)*hashSize ||
		pathOff+uint64(path)*stepSize > uint64(bodySize):
		return e, damaged(ErrTable, part, off,
			"subroots at %d and path at %d lie outside of the table", subrootsOff, pathOff)
	}
	e.subrootsOff, e.pathOff, e.subroots, e.path = int64(subrootsOff), int64(pathOff),
		int(subroots), int(path)
	return e, nil
}

func merkleHeadBytes(records uint32) []byte {
	b := be.AppendUint32(make([]byte, 0, merkleHead), records)
	b = be.AppendUint32(b, subrootLog2)
	return be.AppendUint64(b, 0)
}

// pathLength returns the number of steps of the path of leaf i among n.
func pathLength(i, n uint32) int {
	steps := 0
	for n > 1 {
		if i&1 == 1 || i+1 < n {
			steps++
		}
		i, n = i>>1, n>>1+n&1
	}
	return steps
}

// A pathMaker makes the paths of the capsules of a manifest in ascending order.
// It holds the tree over groups of leaves and that of one group, in place of
// the tree over all leaves. groupSize is a power of two, so that both parts of
// a path are that of the whole tree.
type pathMaker struct {
	manifest *capsule.Manifest
	groups   *merkle.Tree // over the roots of the groups
	group    int          // whose tree is leaves
	leaves   *merkle.Tree
}

func newPathMaker(m *capsule.Manifest) *pathMaker {
	p := &pathMaker{manifest: m, group: -1}
	var roots, leaves []merkle.Hash
	for i := 0; i < len(m.Capsules); i += groupSize {
		leaves = p.appendLeaves(leaves[:0], i)
		roots = append(roots, merkle.Root(leaves))
	}
	p.groups = merkle.NewTree(roots)
	return p
}

// appendLeaves appends the leaves of the group that begins at capsule first.
func (p *pathMaker) appendLeaves(leaves []merkle.Hash, first int) []merkle.Hash {
	for _, d := range p.manifest.Capsules[first:min(first+groupSize, len(p.manifest.Capsules))] {
		leaves = append(leaves, d.Leaf())
	}
	return leaves
}

// path returns the path of capsule i.
func (p *pathMaker) path(i int) ([]merkle.Step, error) {
	if group := i / groupSize; group != p.group {
		p.leaves = merkle.NewTree(p.appendLeaves(nil, group*groupSize))
		p.group = group
	}
	low, err := p.leaves.Prove(i % groupSize)
	if err != nil {
		return nil, err
	}
	high, err := p.groups.Prove(p.group)
	if err != nil {
		return nil, err
	}
	return append(low.Path, high.Path...), nil
}

func appendSteps(b []byte, steps []merkle.Step) []byte {
	for _, s := range steps {
		b = append(b, s.Hash[:]...)
		if s.Left {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

func parseSteps(b []byte, at int64) ([]merkle.Step, error) {
	steps := make([]merkle.Step, len(b)/stepSize)
	for i := range steps {
		s := b[i*stepSize:]
		if s[32] > 1 {
			return nil, damaged(ErrTable, "C5 path", at+int64(i)*stepSize+32,
				"side %d, expected 0 or 1", s[32])
		}
		steps[i] = merkle.Step{Hash: merkle.Hash(s[:32]), Left: s[32] == 1}
	}
	return steps, nil
}

// readSubroots reads the subroots of a record and checks that they fold to its
// chunk root. at is the offset of the body of C5.
func readSubroots(r io.ReaderAt, e *merkleEntry, at int64) ([]merkle.Hash, error) {
	b := make([]byte, e.subroots*hashSize)
	if err := readFull(r, b, at+e.subrootsOff); err != nil {
		return nil, err
	}
	list := make([]merkle.Hash, e.subroots)
	for i := range list {
		list[i] = merkle.Hash(b[i*hashSize:])
	}
	if root := merkle.Root(list); root != e.chunkRoot {
		return nil, damaged(ErrTable, "C5 subroots", at+e.subrootsOff, "fold to %s, expected %s",
			root, e.chunkRoot)
	}
	return list, nil
}

// C6 holds for each record the work of its creation. FORMAT.md §10.
const workEntrySize = 16

func appendWork(b []byte, nonce uint64, achieved int) []byte {
	b = be.AppendUint64(b, nonce)
	b = be.AppendUint32(b, uint32(achieved))
	return be.AppendUint32(b, 0)
}

// checkWork checks the entry of record i in C6, which begins at offset at.
func checkWork(b []byte, i int64, at int64, difficulty int, in capsule.WorkInput) error {
	nonce, achieved := be.Uint64(b), be.Uint32(b[8:])
	want := 0
	if difficulty > 0 {
		want = capsule.ZeroBits(in.Hash(nonce))
	}
	if be.Uint32(b[12:]) != 0 || achieved != uint32(want) || want < difficulty || difficulty == 0 &&
		nonce != 0 {
		return damaged(ErrTable, fmt.Sprintf("C6 entry %d", i), at+i*workEntrySize,
			"nonce %d with %d leading zero bits, found %d, expected at least %d", nonce, achieved,
			want, difficulty)
	}
	return nil
}
