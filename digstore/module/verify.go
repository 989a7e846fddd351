package module

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"math/bits"
	"runtime"
	"strconv"
	"sync"

	"github.com/dig-network/digstore/merkle"
)

// VerifyLeaves makes the checks that need no chunk (FORMAT.md 7.2, steps 1 and
// 2): store id, publisher key, root and leaves are present, and the leaves fold
// to the root. The caller compares store id, key and root with the expected
// ones. VerifyLeaves reads the leaves and keeps none of them.
//
// Errors match ErrFormat or ErrVerify, except errors of the reader.
func (m *Module) VerifyLeaves() error {
	var key [len(m.head.key)]byte
	if err := m.head.readFixed(m.r, SectionPublicKey, key[:]); err != nil {
		return err
	}
	var root merkle.Hash
	if m.recipe != nil {
		root = merkle.Root(m.recipe.table.sortedLeaves(m.recipe.chunks))
	} else {
		l, err := m.leaves()
		if err != nil {
			return err
		}
		if root, err = l.fold(0, l.n); err != nil {
			return err
		}
	}
	if want := m.head.id.Root; root != want {
		return &VerifyError{Mismatch: RootMismatch, Want: want.String(), Got: root.String()}
	}
	return nil
}

// Verify is VerifyLeaves and these checks: there are as many leaves as distinct
// retrieval keys, and for every resource the pool has its chunks and they hash
// to its leaf. The sealed bytes of every resource then are those that the root
// commits to.
//
// Verify does not check what the root does not cover: see FORMAT.md 7.5. The
// caller compares the store id and the publisher key with the expected ones.
//
// It reads every chunk once. Resources whose chunks Decompose has hashed are not
// read again. Errors match ErrFormat or ErrVerify, except errors of the reader
// and of ctx.
func (m *Module) Verify(ctx context.Context) error { return m.VerifyProgress(ctx, nil) }

// VerifyProgress is Verify, and calls progress, unless nil, after each resource
// with the sealed bytes that were verified and the total.
func (m *Module) VerifyProgress(ctx context.Context, progress func(done, total int64)) error {
	if err := m.VerifyLeaves(); err != nil {
		return err
	}
	if m.recipe == nil {
		ix, err := m.keys()
		if err != nil {
			return err
		}
		l, err := m.leaves()
		if err != nil {
			return err
		}
		if int64(len(ix.rows)) != l.n {
			want, got := strconv.Itoa(len(ix.rows)), strconv.FormatInt(l.n, 10)
			return &VerifyError{Mismatch: CountMismatch, Want: want, Got: got}
		}
	}
	var total int64
	if progress != nil {
		for r, err := range m.Resources() {
			if err != nil {
				return err
			}
			total += r.SealedSize()
		}
	}
	return m.verifyResources(ctx, func(done int64) {
		if progress != nil {
			progress(done, total)
		}
	})
}

// verifyResources hashes resources on several goroutines, which have ended when
// it returns.
func (m *Module) verifyResources(ctx context.Context, progress func(done int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs := make(chan *Resource)
	var mu sync.Mutex
	var done int64
	verify := func(r *Resource, buf []byte) {
		if err := r.verifyContent(ctx, buf); err != nil {
			cancel(err) // the first error is returned
		}
		mu.Lock()
		defer mu.Unlock()
		done += r.SealedSize()
		progress(done)
	}
	var wg sync.WaitGroup
	for range min(4, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			var buf []byte
			for r := range jobs {
				if n := min(r.SealedSize(), runSize); int64(len(buf)) < n {
					buf = make([]byte, n)
				}
				verify(r, buf)
			}
		})
	}
	for r, err := range m.Resources() {
		if err != nil {
			cancel(err)
		}
		if ctx.Err() != nil {
			break
		}
		if r.hashed.IsZero() {
			jobs <- r
		} else {
			verify(r, nil)
		}
	}
	close(jobs)
	wg.Wait()
	return context.Cause(ctx)
}

// A leafReader reads the leaves of section 10.
type leafReader struct {
	s *io.SectionReader
	n int64
}

func (m *Module) leaves() (*leafReader, error) {
	s, err := m.need(SectionMerkleNodes)
	if err != nil {
		return nil, err
	}
	var count [4]byte
	if s.Size() < 4 {
		return nil, m.bad(SectionMerkleNodes, 0, errCount)
	}
	if err := readAll(s, count[:], 0); err != nil {
		return nil, err
	}
	l := &leafReader{s, int64(binary.BigEndian.Uint32(count[:]))}
	if l.n > (s.Size()-4)/32 {
		return nil, m.bad(SectionMerkleNodes, 0, errCount)
	}
	return l, nil
}

// leafAt reads one leaf.
func (m *Module) leafAt(rank int) (merkle.Hash, error) {
	var leaf merkle.Hash
	l, err := m.leaves()
	if err != nil {
		return leaf, err
	}
	if int64(rank) >= l.n {
		want, got := "more than "+strconv.Itoa(rank), strconv.FormatInt(l.n, 10)
		return leaf, &VerifyError{Mismatch: CountMismatch, Want: want, Got: got}
	}
	return leaf, readAll(l.s, leaf[:], 4+32*int64(rank))
}

// fold returns the root over n leaves from the leaf first on. It keeps one hash
// for each level. Full subtrees are folded when they are complete, the rest from
// the right, since an odd last node moves up unchanged.
func (l *leafReader) fold(first, n int64) (merkle.Hash, error) {
	if n == 0 {
		return merkle.Sum(nil), nil
	}
	r := bufio.NewReaderSize(io.NewSectionReader(l.s, 4+32*first, 32*n), int(min(32*n, 64<<10)))
	var peaks []merkle.Hash
	for i := range n {
		var h merkle.Hash
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return h, readError(err)
		}
		for range bits.TrailingZeros64(uint64(i + 1)) {
			h = merkle.Node(peaks[len(peaks)-1], h)
			peaks = peaks[:len(peaks)-1]
		}
		peaks = append(peaks, h)
	}
	root := peaks[len(peaks)-1]
	for i := len(peaks) - 2; i >= 0; i-- {
		root = merkle.Node(peaks[i], root)
	}
	return root, nil
}

// maxTree is the largest number of leaves for which a Module that is read from a
// file keeps the tree: 64 bytes for each leaf.
const maxTree = 1 << 16

// prove makes the proof of one leaf. With more than maxTree leaves it reads all
// of them each time.
func (m *Module) prove(rank int) (merkle.Proof, error) {
	l, err := m.leaves()
	if err != nil {
		return merkle.Proof{}, err
	}
	if l.n <= maxTree {
		m.growing.Do(func() { m.tree, m.treeErr = l.tree() })
		if m.treeErr != nil {
			return merkle.Proof{}, m.treeErr
		}
		return m.tree.Prove(rank)
	}
	return l.prove(int64(rank))
}

// prove makes the proof of a leaf. It reads all leaves.
func (l *leafReader) prove(i int64) (p merkle.Proof, err error) {
	if p.Leaf, err = l.fold(i, 1); err != nil {
		return merkle.Proof{}, err
	}
	if p.Path, err = l.path(0, l.n, i); err != nil {
		return merkle.Proof{}, err
	}
	p.Root = p.Leaf
	for _, s := range p.Path {
		if s.Left {
			p.Root = merkle.Node(s.Hash, p.Root)
		} else {
			p.Root = merkle.Node(p.Root, s.Hash)
		}
	}
	return p, nil
}

// tree reads all leaves.
func (l *leafReader) tree() (*merkle.Tree, error) {
	b := make([]byte, 32*l.n)
	if err := readAll(l.s, b, 4); err != nil {
		return nil, err
	}
	leaves := make([]merkle.Hash, l.n)
	for i := range leaves {
		leaves[i] = merkle.Hash(b[32*i:])
	}
	return merkle.NewTree(leaves), nil
}

// path returns the siblings from leaf i upwards in the tree over n leaves from
// first on. The left subtree has the largest power of two below n leaves.
func (l *leafReader) path(first, n, i int64) ([]merkle.Step, error) {
	if n <= 1 {
		return nil, nil
	}
	half := int64(1) << (bits.Len64(uint64(n-1)) - 1)
	var path []merkle.Step
	var sibling merkle.Hash
	var err error
	if left := i >= half; left {
		if path, err = l.path(first+half, n-half, i-half); err == nil {
			sibling, err = l.fold(first, half)
		}
		return append(path, merkle.Step{Hash: sibling, Left: true}), err
	}
	if path, err = l.path(first, half, i); err == nil {
		sibling, err = l.fold(first+half, n-half)
	}
	return append(path, merkle.Step{Hash: sibling}), err
}

func readError(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
