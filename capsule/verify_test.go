package capsule_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// clone returns a bundle that shares nothing with b.
func clone(t testing.TB, b *capsule.Bundle) *capsule.Bundle {
	t.Helper()
	return must(capsule.ParseBundle(must(b.MarshalBinary())))
}

func wantError(t testing.TB, name string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%s: %v, want %v", name, err, w)
			return
		}
	}
	if err == nil {
		t.Errorf("%s: accepted", name)
	}
}

// No bundle with a flipped bit holds.
func TestFlippedBits(t *testing.T) {
	w := newWorld(t)
	c := w.challenge(t, w.accessOnly)
	raw := w.v.AccessOnly.Bundle.bytes(t)
	part, parts := vectors.Part(t)
	step := 61
	if vectors.Long(t) {
		step = parts
	}
	n := 0
	for bit := part; bit < 8*len(raw); bit += step {
		bad := slices.Clone(raw)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := capsule.VerifyBundle(t.Context(), bad, c, w.options()); !errors.Is(err,
			capsule.ErrProof) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		n++
	}
	t.Logf("%d of %d bits", n, 8*len(raw))
	for cut := part; cut < len(raw); cut += step {
		if _, err := capsule.ParseBundle(raw[:cut]); !errors.Is(err, capsule.ErrBundle) {
			t.Fatalf("%d bytes: %v", cut, err)
		}
	}
	if _, err := capsule.ParseBundle(append(slices.Clone(raw), 0)); !errors.Is(err,
		capsule.ErrBundle) {
		t.Errorf("a byte behind the end: %v", err)
	}
}

// A node that holds its own key signs whatever it likes. Each lie is refused by the check that
// is there for it.
func TestDishonestNode(t *testing.T) {
	w := newWorld(t)
	challenge := w.challenge(t, nil)
	honest, err := w.prover.Prove(t.Context(), challenge)
	if err != nil {
		t.Fatal(err)
	}
	other := auth.NewNodeKey([32]byte{9})
	for _, c := range []struct {
		name   string
		change func(b *capsule.Bundle)
		want   error
	}{
		{"nothing", func(*capsule.Bundle) {}, nil},
		{"work left out", func(b *capsule.Bundle) { b.Work = nil }, capsule.ErrBinding},
		{"access left out", func(b *capsule.Bundle) { b.Access = nil }, capsule.ErrBinding},
		{"inclusion left out", func(b *capsule.Bundle) { b.Inclusion = nil }, capsule.ErrBinding},
		{"ownership left out", func(b *capsule.Bundle) { b.Ownership = nil }, capsule.ErrBinding},
		{"another digest", func(b *capsule.Bundle) { b.ChallengeDigest[0]++ }, capsule.ErrBinding},
		{"another capsule", func(b *capsule.Bundle) { b.CapsuleHash[0]++ }, capsule.ErrBinding},
		{"another plot id", func(b *capsule.Bundle) { b.PlotID[0]++ }, capsule.ErrBinding},

		{"public key swapped",
			func(b *capsule.Bundle) { b.Ownership.Plot.PublicKey = other.PublicKey() },
			capsule.ErrBinding},
		{"difficulty", func(b *capsule.Bundle) { b.Ownership.Plot.Difficulty++ },
			capsule.ErrBinding},
		{"anchor height", func(b *capsule.Bundle) { b.Ownership.Plot.BlockHeight-- },
			capsule.ErrBinding},
		{"anchor hash", func(b *capsule.Bundle) { b.Ownership.Plot.BlockHash[3]++ },
			capsule.ErrBinding},
		{"ownership signature", func(b *capsule.Bundle) { b.Ownership.Signature[2]++ },
			capsule.ErrSignature},

		{"another datastore", func(b *capsule.Bundle) { b.Inclusion.Ref.Store[0]++ },
			capsule.ErrBinding},
		{"another root", func(b *capsule.Bundle) { b.Inclusion.Ref.Root[0]++ }, capsule.ErrBinding},
		{"another index", func(b *capsule.Bundle) { b.Inclusion.Ref.Index++ }, capsule.ErrBinding},
		{"number of capsules", func(b *capsule.Bundle) { b.Inclusion.Capsules++ },
			capsule.ErrBinding},
		{"size", func(b *capsule.Bundle) { b.Inclusion.Size-- }, capsule.ErrPath},
		{"chunk root", func(b *capsule.Bundle) { b.Inclusion.ChunkRoot[0]++ }, capsule.ErrPath},
		{"a sibling", func(b *capsule.Bundle) { b.Inclusion.Path[0][0]++ }, capsule.ErrPath},
		{"a sibling more", func(b *capsule.Bundle) {
			b.Inclusion.Path = append(b.Inclusion.Path,
				merkle.Hash{})
		}, capsule.ErrPath},
		{"a sibling less", func(b *capsule.Bundle) { b.Inclusion.Path = b.Inclusion.Path[:1] },
			capsule.ErrPath},
		{"a sibling of the plot", func(b *capsule.Bundle) { b.Inclusion.PlotPath[0][0]++ },
			capsule.ErrPath},
		{"a sibling of the plot more",
			func(b *capsule.Bundle) {
				b.Inclusion.PlotPath = append(b.Inclusion.PlotPath,
					merkle.Hash{})
			}, capsule.ErrPath},
		{"a sibling of the plot less",
			func(b *capsule.Bundle) { b.Inclusion.PlotPath = b.Inclusion.PlotPath[:1] },
			capsule.ErrPath},
		{"place in the plot", func(b *capsule.Bundle) { b.Inclusion.LeafIndex = 1 },
			capsule.ErrPath},
		{"place outside the plot",
			func(b *capsule.Bundle) { b.Inclusion.LeafIndex = b.Inclusion.LeafCount },
			capsule.ErrPath},
		{"a plot of no leaves", func(b *capsule.Bundle) {
			b.Inclusion.LeafIndex, b.Inclusion.LeafCount = 0, 0
		}, capsule.ErrPath},

		{"work: nonce + 1", func(b *capsule.Bundle) { b.Work.Nonce++ }, capsule.ErrWork},
		{"work: fewer bits", func(b *capsule.Bundle) { b.Work.Bits-- }, capsule.ErrWork},
		{"work: too little, truthfully", func(b *capsule.Bundle) {
			in := capsule.WorkInput{TableDataHash: b.Work.TableDataHash,
				PreviousHash: b.Work.PreviousHash, PlotSeed: b.Work.PlotSeed,
				CapsuleHash: b.CapsuleHash}
			b.Work.Nonce = 0
			b.Work.Achieved = uint8(capsule.ZeroBits(in.Hash(0)))
		}, capsule.ErrWork},
		{"work: no bits", func(b *capsule.Bundle) { b.Work.Bits, b.Work.Nonce = 0, 0 },
			capsule.ErrWork},
		{"work: achieved more", func(b *capsule.Bundle) { b.Work.Achieved++ }, capsule.ErrWork},
		{"work: achieved less", func(b *capsule.Bundle) { b.Work.Achieved-- }, capsule.ErrWork},
		{"work: table data hash", func(b *capsule.Bundle) { b.Work.TableDataHash[0]++ },
			capsule.ErrBinding},
		{"work: previous hash", func(b *capsule.Bundle) { b.Work.PreviousHash[0]++ },
			capsule.ErrBinding},
		{"work: plot seed", func(b *capsule.Bundle) { b.Work.PlotSeed[0]++ }, capsule.ErrBinding},

		{"access: entropy height", func(b *capsule.Bundle) { b.Access.EntropyHeight++ },
			capsule.ErrBinding},
		{"access: entropy", func(b *capsule.Bundle) { b.Access.Entropy[0]++ }, capsule.ErrBinding},
		{"access: chunk root", func(b *capsule.Bundle) { b.Access.ChunkRoot[0]++ },
			capsule.ErrBinding},
		{"access: number of chunks", func(b *capsule.Bundle) { b.Access.Chunks++ },
			capsule.ErrBinding},
		{"access: reordered", func(b *capsule.Bundle) {
			b.Access.Samples[0], b.Access.Samples[1] = b.Access.Samples[1], b.Access.Samples[0]
		}, capsule.ErrAccess},
		{"access: index", func(b *capsule.Bundle) { b.Access.Samples[3].Index++ },
			capsule.ErrAccess},
		{"access: the last left out",
			func(b *capsule.Bundle) { b.Access.Samples = b.Access.Samples[:19] },
			capsule.ErrAccess},
		{"access: none", func(b *capsule.Bundle) { b.Access.Samples = nil }, capsule.ErrAccess},
		{"access: one twice", func(b *capsule.Bundle) {
			b.Access.Samples = append(b.Access.Samples,
				b.Access.Samples[19])
		}, capsule.ErrAccess},
		{"access: short chunk",
			func(b *capsule.Bundle) { b.Access.Samples[0].Chunk = b.Access.Samples[0].Chunk[:4095] }, capsule.ErrAccess},
		{"access: a byte", func(b *capsule.Bundle) { b.Access.Samples[0].Chunk[7]++ },
			capsule.ErrPath},
		{"access: a byte of the last", func(b *capsule.Bundle) { b.Access.Samples[19].Chunk[7]++ },
			capsule.ErrPath},
		{"access: a sibling", func(b *capsule.Bundle) { b.Access.Samples[5].Path[1][0]++ },
			capsule.ErrPath},
		{"access: a sibling more", func(b *capsule.Bundle) {
			b.Access.Samples[5].Path = append(b.Access.Samples[5].Path, merkle.Hash{})
		}, capsule.ErrPath},
		{"access: a sibling less",
			func(b *capsule.Bundle) { b.Access.Samples[5].Path = b.Access.Samples[5].Path[1:] },
			capsule.ErrPath},
		{"access: final state", func(b *capsule.Bundle) { b.Access.Final[0]++ }, capsule.ErrAccess},
	} {
		b := clone(t, honest)
		c.change(b)
		if err := capsule.SignBundle(t.Context(), b, w.node); err != nil {
			t.Fatal(err)
		}
		_, err := b.Verify(t.Context(), challenge, w.options())
		if c.want == nil {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		wantError(t, c.name, err, capsule.ErrProof, c.want)
	}
	b := clone(t, honest)
	if err := capsule.SignBundle(t.Context(), b, other); err != nil {
		t.Fatal(err)
	}
	_, err = b.Verify(t.Context(), challenge, w.options())
	wantError(t, "signed by another key", err, capsule.ErrProof, capsule.ErrSignature)
}

// What a challenge pins is held against the answer, and so is what the verifier knows.
func TestVerifierKnows(t *testing.T) {
	w := newWorld(t)
	challenge := w.challenge(t, w.accessOnly)
	b, err := w.prover.Prove(t.Context(), challenge)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(c *capsule.Challenge, change func(*capsule.VerifyOptions)) (*capsule.Result,
		error) {
		o := w.options()
		if change != nil {
			change(o)
		}
		return b.Verify(t.Context(), c, o)
	}
	for _, c := range []struct {
		name   string
		change func(*capsule.VerifyOptions)
		want   error
	}{
		{"no refs", func(o *capsule.VerifyOptions) { o.Refs = nil }, capsule.ErrBinding},
		{"refs of other places",
			func(o *capsule.VerifyOptions) {
				o.Refs = []capsule.Ref{w.manifest.Ref(0),
					w.manifest.Ref(2)}
			}, capsule.ErrBinding},
		{"the head", func(o *capsule.VerifyOptions) { o.Refs[0].Root = merkle.Hash{} },
			capsule.ErrBinding},
		{"untrusted", func(o *capsule.VerifyOptions) { o.Trust = capsule.PinnedRoots{} },
			capsule.ErrUntrusted},
		{"other count", func(o *capsule.VerifyOptions) {
			o.Trust = capsule.PinnedRoots{w.manifest.Store: {w.manifest.Root: 3}}
		}, capsule.ErrBinding},
	} {
		_, err := verify(challenge, c.change)
		wantError(t, c.name, err, capsule.ErrProof, c.want)
	}
	for _, c := range []struct {
		name   string
		change func(*capsule.VerifyOptions)
	}{
		{"several refs",
			func(o *capsule.VerifyOptions) {
				o.Refs = append([]capsule.Ref{w.manifest.Ref(0)},
					o.Refs...)
			}},
		{"no trust", func(o *capsule.VerifyOptions) { o.Trust = nil }},
		{"count not known", func(o *capsule.VerifyOptions) {
			o.Trust = capsule.PinnedRoots{w.manifest.Store: {w.manifest.Root: 0}}
		}},
	} {
		if _, err := verify(challenge, c.change); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	down := errors.New("chain is down")
	_, err = verify(challenge, func(o *capsule.VerifyOptions) { o.Trust = trustFunc(down) })
	if !errors.Is(err, down) || errors.Is(err, capsule.ErrProof) {
		t.Errorf("trust that cannot answer: %v", err)
	}

	if _, err := verify(w.challenge(t,
		func(c *capsule.Challenge) { w.accessOnly(c); c.ID = "other" }), nil); !errors.Is(err,
		capsule.ErrBinding) {
		t.Errorf("another challenge: %v", err)
	}
	bad := *challenge
	bad.Validator = auth.NodePublicKey{1}
	if _, err := verify(&bad, nil); !errors.Is(err, capsule.ErrKey) {
		t.Errorf("validator of small order: %v", err)
	}
}

// What the challenge pins is not what the node would like to answer with.
func TestPinnedNodeAndPlot(t *testing.T) {
	w := newWorld(t)
	open := w.challenge(t, func(c *capsule.Challenge) {
		w.accessOnly(c)
		c.Node, c.PlotID = auth.NodePublicKey{}, merkle.Hash{}
	})
	if b, err := w.prover.Prove(t.Context(), open); err != nil {
		t.Error(err)
	} else if _, err := b.Verify(t.Context(), open, w.options()); err != nil {
		t.Errorf("any node, any plot: %v", err)
	}
	for name, pinned := range map[string]*capsule.Challenge{
		"plot": w.challenge(t, func(c *capsule.Challenge) { w.accessOnly(c); c.PlotID[0]++ }),
		"node": w.challenge(t,
			func(c *capsule.Challenge) { w.accessOnly(c); c.Node = w.validator.PublicKey() }),
	} {
		if _, err := w.prover.Prove(t.Context(), pinned); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("another %s: %v", name, err)
		}
		// The node answers anyway: it makes the proofs for a challenge that names nothing, and
		// binds them to this one.
		lie := *pinned
		lie.Node, lie.PlotID = auth.NodePublicKey{}, merkle.Hash{}
		b, err := w.prover.Prove(t.Context(), &lie)
		if err != nil {
			t.Fatal(err)
		}
		b.ChallengeDigest = pinned.Digest()
		if err := errors.Join(capsule.SignOwnership(t.Context(), b, w.node),
			capsule.SignBundle(t.Context(), b, w.node)); err != nil {
			t.Fatal(err)
		}
		_, err = b.Verify(t.Context(), pinned, w.options())
		wantError(t, "another "+name, err, capsule.ErrProof, capsule.ErrBinding)
	}
}

type trustError struct{ err error }

func trustFunc(err error) capsule.RootTrust { return trustError{err} }

func (t trustError) Trusted(context.Context, auth.StoreID, merkle.Hash) (uint32, error) {
	return 0, t.err
}

// chain is a chain whose block of height h has the hash of "block h", and whose peak has a
// fixed height.
type chain struct {
	peak      uint64
	err       error // of HeightAt
	errAt     uint64
	headerErr error  // of HeaderHash at errAt
	since     uint64 // blocks that came after the time that HeightAt is asked about
}

func (c chain) HeaderHash(_ context.Context, height uint64) (merkle.Hash, error) {
	if height == c.errAt && c.headerErr != nil {
		return merkle.Hash{}, c.headerErr
	}
	if height > c.peak+c.since {
		return merkle.Hash{}, fs.ErrNotExist
	}
	return blockHash(height), nil
}

func (c chain) HeightAt(context.Context, uint64) (uint64, error) { return c.peak, c.err }

func TestEntropyAndBinding(t *testing.T) {
	w := newWorld(t)
	down := errors.New("chain is down")
	at := func(height uint64) func(*capsule.Challenge) {
		return func(c *capsule.Challenge) {
			w.accessOnly(c)
			c.EntropyHeight, c.Entropy = height, blockHash(height)
		}
	}
	for _, c := range []struct {
		name      string
		challenge func(*capsule.Challenge)
		options   func(*capsule.VerifyOptions)
		bound     bool
		unchecked bool
		want      error
	}{
		{"newest", at(5000128), func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000130} },
			true, false, nil},
		{"newest, a block behind", at(5000128),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000136} }, true, false, nil},
		{"the last second of it", at(5000128),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000135} }, true, false, nil},
		{"two blocks behind", at(5000128),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000137} }, false, false,
			capsule.ErrBinding},
		{"not there yet", at(5000128),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000127} }, false, false,
			capsule.ErrBinding},
		{"just come", at(5000128),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000127, since: 1} }, true, false,
			nil},
		{"two blocks too early", at(5000128),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000126, since: 2} }, false, false,
			capsule.ErrBinding},
		{"no multiple of 8", at(5000129),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000130} }, false, false,
			capsule.ErrBinding},
		{"an older block", at(5000120),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000130} }, false, false,
			capsule.ErrBinding},
		{"another hash", func(c *capsule.Challenge) { at(5000128)(c); c.Entropy[0]++ },
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000130} }, false, false,
			capsule.ErrBinding},
		{"times are down", at(5000128),
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000130, err: down} }, false,
			false, down},
		{"entropy block is down", at(5000128), func(o *capsule.VerifyOptions) {
			o.Chain = chain{peak: 5000130, errAt: 5000128, headerErr: down}
		}, false, false, down},
		{"anchor block is down", at(5000128), func(o *capsule.VerifyOptions) {
			o.Chain = chain{peak: 5000130, errAt: 5000000, headerErr: down}
		}, false, false, down},
		{"entropy block is not there", at(5000128), func(o *capsule.VerifyOptions) {
			o.Chain = chain{peak: 5000130, errAt: 5000128, headerErr: fs.ErrNotExist}
		}, false, false, capsule.ErrBinding},
		{"anchor block is not there", at(5000128), func(o *capsule.VerifyOptions) {
			o.Chain = chain{peak: 5000130, errAt: 5000000, headerErr: fs.ErrNotExist}
		}, false, false, nil},
		{"no chain", at(5000123), nil, true, true, nil},
		{"no announcements", at(5000123), func(o *capsule.VerifyOptions) { o.PlotSince = nil },
			false, true, nil},
		{"not announced", at(5000123), func(o *capsule.VerifyOptions) {
			o.PlotSince = func(merkle.Hash) (uint64, bool) { return 0, false }
		}, false, true, nil},
		{"announced with the entropy", at(5000123), func(o *capsule.VerifyOptions) {
			o.PlotSince = func(merkle.Hash) (uint64, bool) { return 5000123, true }
		}, false, true, nil},
		{"announced just before", at(5000123), func(o *capsule.VerifyOptions) {
			o.PlotSince = func(merkle.Hash) (uint64, bool) { return 5000122, true }
		}, true, true, nil},
		{"direct mode", func(c *capsule.Challenge) { w.accessOnly(c); c.EntropyHeight = 0 },
			func(o *capsule.VerifyOptions) { o.Chain = chain{peak: 5000130} }, false, false, nil},
	} {
		challenge := w.challenge(t, c.challenge)
		b, err := w.prover.Prove(t.Context(), challenge)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		o := w.options()
		if c.options != nil {
			c.options(o)
		}
		res, err := b.Verify(t.Context(), challenge, o)
		if c.want != nil {
			wantError(t, c.name, err, c.want)
			if errors.Is(err, capsule.ErrProof) == errors.Is(err, down) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.name == "direct mode" && res.Unbound != "entropy was drawn by the validator" {
			t.Errorf("%s: %s", c.name, res.Unbound)
		}
		if res.Bound != c.bound || res.Bound != (res.Unbound == "") ||
			res.EntropyUnchecked != c.unchecked {
			t.Errorf("%s: %+v", c.name, res)
		}
	}
}

// The anchor of a plot must be older than the entropy, and its hash that of the chain.
func TestAnchor(t *testing.T) {
	w := newWorld(t)
	with := func(id capsule.PlotIdentity) {
		id.PublicKey = w.node.PublicKey()
		w.plots = must(capsuletest.NewPlots(id,
			capsuletest.Holding{Manifest: w.manifest, Content: map[uint32][]byte{1: w.content}}))
		w.prover.Plots = w.plots
	}
	beacon := func(c *capsule.Challenge) {
		w.accessOnly(c)
		c.EntropyHeight, c.Entropy = 5000128, blockHash(5000128)
	}
	for _, height := range []uint64{5000128, 5000129} {
		with(capsule.PlotIdentity{BlockHeight: height, BlockHash: blockHash(height)})
		c := w.challenge(t, beacon)
		if _, err := w.prover.Prove(t.Context(), c); !errors.Is(err, capsule.ErrBinding) {
			t.Errorf("anchor at %d: %v", height, err)
		}
		// A node that answers anyway: it proves for entropy of a higher block and says that it
		// is this one's.
		d := w.challenge(t, func(c *capsule.Challenge) { beacon(c); c.EntropyHeight = height + 1 })
		b, err := w.prover.Prove(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		b.ChallengeDigest, b.Access.EntropyHeight = c.Digest(), c.EntropyHeight
		if err := errors.Join(capsule.SignOwnership(t.Context(), b, w.node),
			capsule.SignBundle(t.Context(), b, w.node)); err != nil {
			t.Fatal(err)
		}
		_, err = b.Verify(t.Context(), c, w.options())
		wantError(t, "anchor above the entropy", err, capsule.ErrProof, capsule.ErrBinding)
	}
	for _, c := range []struct {
		name  string
		id    capsule.PlotIdentity
		bound bool
	}{
		{"anchored", capsule.PlotIdentity{BlockHeight: 5000000, BlockHash: blockHash(5000000),
			Difficulty: 40}, true},
		{"another hash", capsule.PlotIdentity{BlockHeight: 5000000, BlockHash: blockHash(5000001)},
			false},
		{"no anchor", capsule.PlotIdentity{}, false},
		{"difficulty that is none", capsule.PlotIdentity{BlockHeight: 5000000,
			BlockHash: blockHash(5000000), Difficulty: 41}, false},
	} {
		with(c.id)
		challenge := w.challenge(t, beacon)
		b, err := w.prover.Prove(t.Context(), challenge)
		if err != nil {
			t.Fatal(err)
		}
		o := w.options()
		o.Chain = chain{peak: 5000130}
		res, err := b.Verify(t.Context(), challenge, o)
		if err != nil || res.Bound != c.bound {
			t.Errorf("%s: %+v, %v", c.name, res, err)
		}
	}
}

// Every type of challenge brings exactly the proofs that it needs.
func TestChallengeTypes(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		kind                     capsule.ChallengeType
		bits                     uint8
		inclusion, work, samples bool
	}{
		{capsule.PlotOwnership, 0, false, false, false},
		{capsule.DataInclusion, 0, true, false, false},
		{capsule.ComputationalWork, 8, true, true, false},
		{capsule.ComputationalWork, 0, true, true, false},
		{capsule.PhysicalAccess, 0, true, false, true},
		{capsule.PhysicalAccess, 8, true, false, true},
		{capsule.Full, 8, true, true, true},
		{capsule.Full, 0, true, false, true},
	} {
		challenge := w.challenge(t, func(ch *capsule.Challenge) {
			ch.Type, ch.WorkBits = c.kind,
				c.bits
		})
		b, err := w.prover.Prove(t.Context(), challenge)
		if err != nil {
			t.Fatal(err)
		}
		if b.Ownership == nil || b.Inclusion != nil != c.inclusion || b.Work != nil != c.work ||
			b.Access != nil != c.samples {
			t.Errorf("%v, %d bits: %+v", c.kind, c.bits, b)
		}
		if _, err := clone(t, b).Verify(t.Context(), challenge, w.options()); err != nil {
			t.Errorf("%v, %d bits: %v", c.kind, c.bits, err)
		}
	}
}

// Capsules of all the sizes at which the tree changes its shape are proved and verified.
func TestCapsuleSizes(t *testing.T) {
	w := newWorld(t)
	for _, size := range []int{0, 1, 4095, 4096, 4097, 8192, 20 * 4096, 131071, 131072, 131073,
		131072 + 4096, 3*131072 + 5*4096, 4 * 131072, 1<<20 + 1} {
		content := pattern(size, size)
		m := manifestOf(7, pattern(1, 10), content, pattern(2, 20))
		w.plots = must(capsuletest.NewPlots(capsule.PlotIdentity{PublicKey: w.node.PublicKey()},
			capsuletest.Holding{Manifest: m, Content: map[uint32][]byte{1: content}}))
		w.prover.Plots = w.plots
		c := w.challenge(t, func(c *capsule.Challenge) {
			c.Type, c.CapsuleHash = capsule.PhysicalAccess, m.Capsules[1].Hash
		})
		b, err := w.prover.Prove(t.Context(), c)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if _, err := clone(t, b).Verify(t.Context(), c,
			&capsule.VerifyOptions{Refs: []capsule.Ref{m.Ref(1)}}); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		seen := map[uint32]bool{}
		for _, s := range b.Access.Samples {
			if seen[s.Index] || !bytes.Equal(s.Chunk,
				content[int(s.Index)*4096:min(len(content), int(s.Index+1)*4096)]) {
				t.Errorf("%d bytes: chunk %d", size, s.Index)
			}
			seen[s.Index] = true
		}
		if want := min(20, int(capsule.ChunkCount(uint32(size)))); len(seen) != want {
			t.Errorf("%d bytes: %d samples, want %d", size, len(seen), want)
		}
	}
}

// Bundles of another form are refused before anything in them is believed.
func TestBundleForm(t *testing.T) {
	w := newWorld(t)
	raw := w.v.Bundle.bytes(t)
	const (
		inclusion = 112 + 4 + 172 + 4
		work      = inclusion + 246 + 4
		access    = work + 108 + 4
	)
	for name, change := range map[string]func(b []byte){
		"magic":                    func(b []byte) { b[0]++ },
		"version":                  func(b []byte) { b[5]++ },
		"a bit more in the mask":   func(b []byte) { b[7] |= 16 },
		"a bit of the high byte":   func(b []byte) { b[6] |= 1 },
		"a proof less in the mask": func(b []byte) { b[7] &^= 4 },
		"length of ownership":      func(b []byte) { b[115]-- },
		"length of inclusion":      func(b []byte) { b[inclusion-1]++ },
		"a length past the end":    func(b []byte) { b[access-4] = 255 },
		"33 siblings":              func(b []byte) { b[inclusion+116] = 33 },
		"255 siblings":             func(b []byte) { b[inclusion+116] = 255 },
		"algorithm 2":              func(b []byte) { b[work]++ },
		"byte 3 of work":           func(b []byte) { b[work+3]++ },
		"257 samples":              func(b []byte) { b[access+76], b[access+77] = 1, 1 },
		"bytes behind samples":     func(b []byte) { b[access+79]++ },
		"a chunk of 4097":          func(b []byte) { b[access+85]++ },
		"a chunk of 65535":         func(b []byte) { b[access+84], b[access+85] = 255, 255 },
	} {
		b := slices.Clone(raw)
		change(b)
		if _, err := capsule.ParseBundle(b); !errors.Is(err, capsule.ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(b *capsule.Bundle){
		"33 siblings": func(b *capsule.Bundle) {
			b.Inclusion.Path = make([]merkle.Hash,
				33)
		},
		"33 siblings of the plot": func(b *capsule.Bundle) { b.Inclusion.PlotPath = make([]merkle.Hash, 33) },
		"257 samples":             func(b *capsule.Bundle) { b.Access.Samples = make([]capsule.AccessSample, 257) },
		"a chunk of 4097":         func(b *capsule.Bundle) { b.Access.Samples[0].Chunk = make([]byte, 4097) },
		"33 siblings of a chunk":  func(b *capsule.Bundle) { b.Access.Samples[0].Path = make([]merkle.Hash, 33) },
	} {
		b := must(capsule.ParseBundle(raw))
		change(b)
		if raw, err := b.MarshalBinary(); err == nil {
			t.Errorf("%s: encoded in %d bytes", name, len(raw))
		}
		if err := capsule.SignBundle(t.Context(), b, w.node); err == nil {
			t.Errorf("%s: signed", name)
		}
		if _, err := b.Verify(t.Context(), w.challenge(t, nil), w.options()); !errors.Is(err,
			capsule.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var b capsule.Bundle
	if err := b.UnmarshalBinary(raw); err != nil || b.CapsuleHash != w.manifest.Capsules[1].Hash {
		t.Errorf("%v, capsule %v", err, b.CapsuleHash)
	}
	if err := b.UnmarshalBinary(raw[1:]); err == nil ||
		b.CapsuleHash != w.manifest.Capsules[1].Hash {
		t.Errorf("%v, capsule %v", err, b.CapsuleHash)
	}
}
