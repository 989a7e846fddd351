package capsule_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
)

func blockHash(height uint64) merkle.Hash {
	return merkle.Sum(fmt.Appendf(nil, "block %d",
		height))
}

// A prover anchors a datastore of its own, whose leaf names the victim's hash, size 1 and the
// chunk root of one
// byte. It stores that byte. Even a verifier that trusts the attacker's datastore refuses it,
// because it asks
// about another one.
func TestForeignHashInOwnDatastore(t *testing.T) {
	w := newWorld(t)
	victim := w.manifest.Capsules[1]
	fake := victim
	fake.Index, fake.Size, fake.ChunkRoot = 0, 1, merkle.Leaf([]byte{0})
	own := &capsule.Manifest{Store: auth.StoreID{0xee}, Root: fake.Leaf(),
		Capsules: []capsule.Descriptor{fake}}
	if err := own.Check(); err != nil {
		t.Fatal(err)
	}
	id := capsule.PlotIdentity{PublicKey: w.node.PublicKey(), Root: fake.PlotLeaf(own.Store)}
	prover := &capsule.Prover{Key: w.node, Plots: onePlot{capsule.PlotRecord{
		Plot: id, Ref: own.Ref(0), Descriptor: fake, Capsules: 1, LeafCount: 1,
	}, []byte{0}}}
	c := w.challenge(t, func(c *capsule.Challenge) { w.accessOnly(c); c.PlotID = id.ID() })
	b, err := prover.Prove(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	o := w.options()
	o.Trust = capsule.PinnedRoots{w.manifest.Store: {w.manifest.Root: 4}, own.Store: {own.Root: 1}}
	_, err = b.Verify(t.Context(), c, o)
	wantError(t, "own datastore", err, capsule.ErrProof, capsule.ErrBinding)
	// The proof is sound for what it says: it is the reference that saves the verifier.
	if _, err := b.Verify(t.Context(), c,
		&capsule.VerifyOptions{Refs: []capsule.Ref{own.Ref(0)}}); err != nil {
		t.Errorf("asked about its own datastore: %v", err)
	}
}

// onePlot is a plot of one record, which may say anything.
type onePlot struct {
	record  capsule.PlotRecord
	content []byte
}

func (p onePlot) Find(context.Context, merkle.Hash, merkle.Hash) (capsule.Plotted, error) {
	return p, nil
}
func (p onePlot) Record() capsule.PlotRecord { return p.record }
func (p onePlot) Close() error               { return nil }

func (p onePlot) Subroots(context.Context) ([]merkle.Hash, error) {
	return []merkle.Hash{capsule.Subroot(p.content)}, nil
}

func (p onePlot) ReadBlock(context.Context, uint32, []byte) ([]byte, error) {
	return p.content,
		nil
}

// anySigner has a key of small order, under which one signature verifies for every message.
type anySigner struct{}

func (anySigner) PublicKey() auth.NodePublicKey { return auth.NodePublicKey{1} }

func (anySigner) Sign(context.Context, []byte) (auth.NodeSignature, error) {
	return auth.NodeSignature{1}, nil // R is the neutral element, S is 0
}

func TestSmallOrderKeys(t *testing.T) {
	w := newWorld(t)
	id := w.plots.ID
	id.PublicKey = anySigner{}.PublicKey()
	plots := must(capsuletest.NewPlots(id, capsuletest.Holding{Manifest: w.manifest,
		Content: map[uint32][]byte{1: w.content}}))
	prover := &capsule.Prover{Key: anySigner{}, Plots: plots}
	c := w.challenge(t, func(c *capsule.Challenge) {
		w.accessOnly(c)
		c.Node, c.PlotID = auth.NodePublicKey{}, merkle.Hash{}
	})
	b, err := prover.Prove(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Verify(t.Context(), c, w.options())
	wantError(t, "node key", err, capsule.ErrProof, capsule.ErrKey)

	c.Node = anySigner{}.PublicKey()
	wantError(t, "node key in a challenge", c.Check(), capsule.ErrChallenge, capsule.ErrKey)
	d := &capsule.Challenge{ID: "x", Samples: 1}
	wantError(t, "validator signs", d.Sign(t.Context(), anySigner{}), capsule.ErrKey)
	d.Minimal = true
	wantError(t, "validator of a minimal challenge", d.Verify(anySigner{}.PublicKey()),
		capsule.ErrKey)
}

// A prover that has hashes and paths but no content cannot deliver chunks.
func TestKeepsOnlyHashes(t *testing.T) {
	w := newWorld(t)
	c := w.challenge(t, w.accessOnly)
	b, err := w.prover.Prove(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Access.Samples { // paths are right, chunks are made up
		copy(b.Access.Samples[i].Chunk, pattern(i, 100))
	}
	if err := capsule.SignBundle(t.Context(), b, w.node); err != nil {
		t.Fatal(err)
	}
	_, err = b.Verify(t.Context(), c, w.options())
	wantError(t, "made-up chunks", err, capsule.ErrPath)

	// Whole made-up data, with a consistent chunk root of its own.
	made := pattern(99, len(w.content))
	lie := must(capsule.Describe(1, newReader(made)))
	lie.Hash = w.manifest.Capsules[1].Hash
	id := capsule.PlotIdentity{PublicKey: w.node.PublicKey(), Root: lie.PlotLeaf(w.manifest.Store)}
	h := capsule.NewHasher()
	h.Write(made)
	proof := must(w.manifest.Prove(1))
	var path []merkle.Hash
	for _, s := range proof.Path {
		path = append(path, s.Hash)
	}
	prover := &capsule.Prover{Key: w.node, Plots: blocksPlot{onePlot{capsule.PlotRecord{
		Plot: id, Ref: w.manifest.Ref(1), Descriptor: lie, Capsules: 4, Path: path, LeafCount: 1,
	}, made}, h.Subroots()}}
	c = w.challenge(t, func(c *capsule.Challenge) { w.accessOnly(c); c.PlotID = id.ID() })
	if b, err = prover.Prove(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	_, err = b.Verify(t.Context(), c, w.options())
	wantError(t, "made-up chunk root", err, capsule.ErrProof, capsule.ErrPath)
}

type blocksPlot struct {
	onePlot
	subroots []merkle.Hash
}

func (p blocksPlot) Find(context.Context, merkle.Hash, merkle.Hash) (capsule.Plotted, error) {
	return p, nil
}
func (p blocksPlot) Subroots(context.Context) ([]merkle.Hash, error) { return p.subroots, nil }
func (p blocksPlot) ReadBlock(_ context.Context, i uint32, _ []byte) ([]byte, error) {
	return p.content[int(i)*capsule.BlockSize : min(len(p.content),
		int(i+1)*capsule.BlockSize)], nil
}

// An answer serves one challenge and one node.
func TestReplayedAndStolenAnswers(t *testing.T) {
	w := newWorld(t)
	c := w.challenge(t, nil)
	b, err := w.prover.Prove(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	later := w.challenge(t, func(c *capsule.Challenge) { c.Entropy = blockHash(1) })
	_, err = b.Verify(t.Context(), later, w.options())
	wantError(t, "replayed", err, capsule.ErrBinding)

	// A thief signs everything anew with its own key.
	thief := auth.NewNodeKey([32]byte{66})
	any := w.challenge(t, func(c *capsule.Challenge) {
		c.Node, c.PlotID = auth.NodePublicKey{},
			merkle.Hash{}
	})
	if b, err = w.prover.Prove(t.Context(), any); err != nil {
		t.Fatal(err)
	}
	resign := func(b *capsule.Bundle) {
		if err := errors.Join(capsule.SignOwnership(t.Context(), b, thief),
			capsule.SignBundle(t.Context(), b, thief)); err != nil {
			t.Fatal(err)
		}
	}
	stolen := clone(t, b)
	resign(stolen)
	_, err = stolen.Verify(t.Context(), any, w.options())
	wantError(t, "signed by the thief", err, capsule.ErrProof, capsule.ErrSignature)

	stolen = clone(t, b)
	stolen.Ownership.Plot.PublicKey = thief.PublicKey()
	stolen.PlotID = stolen.Ownership.Plot.ID()
	resign(stolen)
	_, err = stolen.Verify(t.Context(), any, w.options())
	// the work is of another plot seed
	wantError(t, "put on the thief's plot", err, capsule.ErrProof, capsule.ErrBinding)

	stolen.Work.PlotSeed = stolen.Ownership.Plot.Seed()
	stolen.Work.Nonce = must(capsule.NewCPUWorker(0).Search(t.Context(), capsule.WorkInput{
		TableDataHash: stolen.Work.TableDataHash, PreviousHash: stolen.Work.PreviousHash,
		PlotSeed: stolen.Work.PlotSeed, CapsuleHash: stolen.CapsuleHash,
	}, 16))
	stolen.Work.Achieved = uint8(capsule.ZeroBits(capsule.WorkInput{
		TableDataHash: stolen.Work.TableDataHash, PreviousHash: stolen.Work.PreviousHash,
		PlotSeed: stolen.Work.PlotSeed, CapsuleHash: stolen.CapsuleHash,
	}.Hash(stolen.Work.Nonce)))
	resign(stolen)
	_, err = stolen.Verify(t.Context(), any, w.options())
	// the samples are of another plot
	wantError(t, "with work of its own", err, capsule.ErrProof, capsule.ErrAccess)

	// The plot file itself serves no other key.
	if _, err := (&capsule.Prover{Key: thief, Plots: w.plots}).Prove(t.Context(),
		any); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stolen plot: %v", err)
	}
}

// A prover searches for a plot id that leads to the chunks that it kept. It finds one, and the
// proof holds, but
// it is not bound, because that plot was not announced before the entropy.
func TestPlotIDsAfterTheEntropy(t *testing.T) {
	w := newWorld(t)
	kept := func(i uint32) bool { return i < 17 } // half of the capsule
	c := w.challenge(t, func(c *capsule.Challenge) { w.accessOnly(c); c.PlotID = merkle.Hash{} })
	for d := uint32(0); d < 1000; d++ {
		id := capsule.PlotIdentity{PublicKey: w.node.PublicKey(), Difficulty: d % 41,
			BlockHash: merkle.Hash{byte(d / 41)}}
		plots := must(capsuletest.NewPlots(id,
			capsuletest.Holding{Manifest: w.manifest, Content: map[uint32][]byte{1: w.content}}))
		found := true
		for _, i := range capsule.AccessIndices(c, w.node.PublicKey(), plots.ID, w.content) {
			found = found && kept(i)
		}
		if !found {
			continue
		}
		b, err := (&capsule.Prover{Key: w.node, Plots: plots}).Prove(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		o := w.options()
		announced := w.plots.ID.ID()
		o.PlotSince = func(id merkle.Hash) (uint64, bool) { return 5000001, id == announced }
		res, err := b.Verify(t.Context(), c, o)
		if err != nil || res.Bound {
			t.Errorf("after %d tries: %+v, %v", d+1, res, err)
		}
		return
	}
	t.Error("no plot id in 1000 leads to what is kept")
}

// Nodes that miss a share of the chunks pass as rarely as the sampling says, and every chunk
// can be asked for.
func TestMissingChunks(t *testing.T) {
	w := newWorld(t)
	const chunks, tries = 200, 3000
	content := pattern(3, chunks*capsule.ChunkSize)
	indices := make([][]uint32, tries)
	asked := map[uint32]int{}
	for k := range indices {
		c := &capsule.Challenge{Samples: 20, Entropy: blockHash(uint64(k))}
		indices[k] = capsule.AccessIndices(c, w.node.PublicKey(), capsule.PlotIdentity{}, content)
		for _, i := range indices[k] {
			asked[i]++
		}
	}
	for i := range uint32(chunks) {
		if n := asked[i]; n < 200 || n > 400 { // 300 are expected
			t.Errorf("chunk %d is asked for %d times", i, n)
		}
	}
	for _, missing := range []uint32{1, 2, 20, 100, 184} { // the last keeps the first 64 KiB
		passed := 0
		for _, list := range indices {
			ok := true
			for _, i := range list {
				ok = ok && i < chunks-missing
			}
			if ok {
				passed++
			}
		}
		want := 1.0
		for k := 0.0; k < 20; k++ {
			want *= math.Max(0, chunks-float64(missing)-k) / (chunks - k)
		}
		deviation := math.Sqrt(want*(1-want)/tries) + 1e-3
		if got := float64(passed) / tries; math.Abs(got-want) > 4*deviation {
			t.Errorf("%d chunks missing: passes %.4f, expected %.4f", missing, got, want)
		}
	}
}

// panicking is a worker with a fault.
type panicking struct{}

func (panicking) Name() string { return "panicking" }

func (panicking) Search(context.Context, capsule.WorkInput, int) (uint64, error) {
	panic("fault of a worker")
}

// A worker that panics fails the challenge and not the program.
func TestWorkerPanics(t *testing.T) {
	w := newWorld(t)
	p := &capsule.Prover{Key: w.node, Plots: w.plots, Work: panicking{}}
	_, err := p.Prove(t.Context(), w.challenge(t, nil))
	if !errors.Is(err, capsule.ErrPanic) {
		t.Errorf("%v, expected ErrPanic", err)
	}
}
