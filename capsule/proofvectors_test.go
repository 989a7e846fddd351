package capsule_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// proofVectors is plot-proofs.json.
type proofVectors struct {
	About  string
	Access struct {
		Final merkle.Hash `json:"final_state"`
		Sum   merkle.Hash `json:"proof_sha256"`
		Seed  merkle.Hash `json:"seed_state"`
		Size  int
		Steps []struct {
			Len   int         `json:"chunk_len"`
			Sum   merkle.Hash `json:"chunk_sha256"`
			Index uint32
			Path  []merkle.Hash
			State merkle.Hash
		}
	}
	Bundle        bundleVector
	Challenge     challengeVector
	Entropy       merkle.Hash
	EntropyHeight uint64 `json:"entropy_height"`
	EntropyIs     string `json:"entropy_is"`
	ExpiresAt     uint64 `json:"expires_at"`
	Inclusion     struct {
		LeafCount uint32      `json:"plot_leaf_count"`
		LeafIndex uint32      `json:"plot_leaf_index"`
		Proof     vectors.Hex `json:"proof_hex"`
		Size      int
	}
	IssuedAt  uint64      `json:"issued_at"`
	MustFail  []string    `json:"must_fail"`
	NodeSeed  vectors.Hex `json:"node_seed"`
	Ownership struct {
		Proof vectors.Hex `json:"proof_hex"`
		Size  int
	}
	AccessOnly struct {
		challengeVector
		Bundle   bundleVector
		Indices  []uint32
		Samples  uint16
		WorkBits uint8 `json:"work_bits"`
	} `json:"physical_access_only"`
	Samples       uint16
	ValidatorID   auth.NodePublicKey `json:"validator_id"`
	ValidatorSeed vectors.Hex        `json:"validator_seed"`
	Work          struct {
		Achieved int `json:"achieved_bits"`
		Nonce    uint64
		Proof    vectors.Hex `json:"proof_hex"`
		Size     int
		Hash     merkle.Hash `json:"work_hash"`
	}
	WorkBits uint8 `json:"work_bits"`
}

type challengeVector struct {
	Canonical vectors.Hex        `json:"canonical_hex"`
	Digest    merkle.Hash        `json:"challenge_digest"`
	ID        string             `json:"challenge_id"`
	Type      string             `json:"challenge_type"`
	Signature auth.NodeSignature `json:"validator_signature"`
}

type bundleVector struct {
	GeneratedAt uint64 `json:"generated_at"`
	Gzip        string `json:"gzip_base64"`
	Mask        uint16
	Signature   auth.NodeSignature `json:"node_signature"`
	Sum         merkle.Hash        `json:"sha256"`
	Size        int
}

func (b bundleVector) bytes(t testing.TB) []byte {
	z, err := gzip.NewReader(bytes.NewReader(must(base64.StdEncoding.DecodeString(b.Gzip))))
	if err != nil {
		t.Fatal(err)
	}
	raw := must(io.ReadAll(z))
	if len(raw) != b.Size || merkle.Sum(raw) != b.Sum {
		t.Fatalf("bundle of the vectors: %d bytes, SHA-256 %v", len(raw), merkle.Sum(raw))
	}
	return raw
}

const proofVectorFile = "plot-proofs.json"

// A world has the plot of the vectors and the two parties of a challenge about its capsule
// (0x11..11, 1).
type world struct {
	v         proofVectors
	node      *auth.NodeKey
	validator *auth.NodeKey
	plots     *capsuletest.Plots
	manifest  *capsule.Manifest
	content   []byte
	prover    *capsule.Prover
	now       uint64
}

func manifestOf(store byte, contents ...[]byte) *capsule.Manifest {
	m := &capsule.Manifest{Store: auth.StoreID(bytes.Repeat([]byte{store}, 32))}
	var leaves []merkle.Hash
	for i, c := range contents {
		d := must(capsule.Describe(uint32(i), bytes.NewReader(c)))
		m.Capsules = append(m.Capsules, d)
		leaves = append(leaves, d.Leaf())
	}
	m.Root = merkle.Root(leaves)
	return m
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{now: 1700001002}
	vectors.Load(t, proofVectorFile, &w.v)
	w.node = auth.NewNodeKey([32]byte(w.v.NodeSeed))
	w.validator = auth.NewNodeKey([32]byte(w.v.ValidatorSeed))
	a, b, c := pattern(1, 5000), pattern(2, 140000), pattern(3, 5)
	other := pattern(4, 4096)
	w.content = b
	w.manifest = manifestOf(0x11, a, b, c, a)
	id := capsule.PlotIdentity{PublicKey: w.node.PublicKey(), Difficulty: 4, BlockHeight: 5000000,
		BlockHash: merkle.Sum([]byte("block 5000000"))}
	w.plots = must(capsuletest.NewPlots(id,
		capsuletest.Holding{Manifest: w.manifest, Content: map[uint32][]byte{0: a, 1: b, 3: a}},
		capsuletest.Holding{Manifest: manifestOf(5, other), Content: map[uint32][]byte{0: other}},
	))
	w.prover = &capsule.Prover{Key: w.node, Plots: w.plots,
		Now: func() time.Time { return time.Unix(int64(w.now), 0) }}
	return w
}

// challenge is the signed challenge of the vectors, after a change.
func (w *world) challenge(t testing.TB, change func(*capsule.Challenge)) *capsule.Challenge {
	t.Helper()
	c := &capsule.Challenge{
		ID: w.v.Challenge.ID, Type: capsule.Full, Node: w.node.PublicKey(), PlotID: w.plots.ID.ID(),
		CapsuleHash:   w.manifest.Capsules[1].Hash,
		EntropyHeight: w.v.EntropyHeight, Entropy: w.v.Entropy, IssuedAt: w.v.IssuedAt,
		ExpiresAt: w.v.ExpiresAt,
		Samples:   w.v.Samples, WorkBits: w.v.WorkBits,
	}
	if change != nil {
		change(c)
	}
	if err := c.Sign(t.Context(), w.validator); err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) accessOnly(c *capsule.Challenge) {
	c.ID, c.Type, c.Samples, c.WorkBits = w.v.AccessOnly.ID, capsule.PhysicalAccess,
		w.v.AccessOnly.Samples, w.v.AccessOnly.WorkBits
}

// options are what the validator of the vectors knows.
func (w *world) options() *capsule.VerifyOptions {
	return &capsule.VerifyOptions{
		Refs:      []capsule.Ref{w.manifest.Ref(1)},
		Trust:     capsule.PinnedRoots{w.manifest.Store: {w.manifest.Root: 4}},
		PlotSince: func(merkle.Hash) (uint64, bool) { return 5000001, true },
	}
}

func TestProofVectors(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name      string
		challenge *capsule.Challenge
		want      challengeVector
		bundle    bundleVector
	}{
		{"full", w.challenge(t, nil), w.v.Challenge, w.v.Bundle},
		{"physical_access", w.challenge(t, w.accessOnly), w.v.AccessOnly.challengeVector,
			w.v.AccessOnly.Bundle},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !bytes.Equal(c.challenge.Canonical(), c.want.Canonical) ||
				c.challenge.Digest() != c.want.Digest || c.challenge.Signature != c.want.Signature {
				t.Errorf("canonical %x, digest %v, signature %v", c.challenge.Canonical(),
					c.challenge.Digest(), c.challenge.Signature)
			}
			if err := c.challenge.Verify(w.v.ValidatorID); err != nil {
				t.Error(err)
			}
			raw := c.bundle.bytes(t)
			if c.bundle.GeneratedAt != 0 {
				w.now = c.bundle.GeneratedAt
			} else {
				w.now = must(capsule.ParseBundle(raw)).GeneratedAt
			}
			b, err := w.prover.Prove(t.Context(), c.challenge)
			if err != nil {
				t.Fatal(err)
			}
			if got := must(b.MarshalBinary()); !bytes.Equal(got, raw) {
				t.Fatalf("bundle has %d bytes, SHA-256 %v", len(got), merkle.Sum(got))
			}
			res, err := capsule.VerifyBundle(t.Context(), raw, c.challenge, w.options())
			if err != nil {
				t.Fatal(err)
			}
			want := capsule.Result{Plot: w.plots.ID, Ref: w.manifest.Ref(1), Bound: true,
				EntropyUnchecked: true}
			if *res != want {
				t.Errorf("%+v, want %+v", *res, want)
			}
		})
	}
	b := must(capsule.ParseBundle(w.v.Bundle.bytes(t)))
	for i, s := range w.v.Access.Steps {
		got := b.Access.Samples[i]
		if got.Index != s.Index || merkle.Sum(got.Chunk) != s.Sum || len(got.Chunk) != s.Len ||
			len(got.Path) != len(s.Path) {
			t.Errorf("sample %d: chunk %d of %d bytes, want %+v", i, got.Index, len(got.Chunk), s)
		}
	}
	if b.Access.Final != w.v.Access.Final || b.Work.Nonce != w.v.Work.Nonce ||
		int(b.Work.Achieved) != w.v.Work.Achieved {
		t.Errorf("final state %v, work %+v", b.Access.Final, b.Work)
	}
	vectors.Count(t, proofVectorFile, 2, 0)
}

func TestWorkVectors(t *testing.T) {
	var f struct {
		About  string
		Legacy json.RawMessage `json:"legacy_digpowv1"`
		Work   struct {
			Capsule  merkle.Hash `json:"capsule_hash"`
			Seed     merkle.Hash `json:"plot_seed"`
			Previous merkle.Hash `json:"previous_hash"`
			Table    merkle.Hash `json:"table_data_hash"`
			Formula  string
			Cases    []struct {
				Achieved, Bits int
				Nonce          uint64      `json:"lowest_nonce"`
				Hash           merkle.Hash `json:"work_hash"`
			}
		}
	}
	const file = "plot-work.json"
	vectors.Load(t, file, &f)
	in := capsule.WorkInput{TableDataHash: f.Work.Table, PreviousHash: f.Work.Previous,
		PlotSeed: f.Work.Seed, CapsuleHash: f.Work.Capsule}
	for _, workers := range []int{1, 2, 7} {
		w := capsule.NewCPUWorker(workers)
		for _, c := range f.Work.Cases {
			nonce, err := w.Search(t.Context(), in, c.Bits)
			if err != nil || nonce != c.Nonce || in.Hash(nonce) != c.Hash ||
				capsule.ZeroBits(c.Hash) != c.Achieved {
				t.Errorf("%d workers, %d bits: nonce %d, %v, want %d", workers, c.Bits, nonce, err,
					c.Nonce)
			}
		}
	}
	vectors.Count(t, file+" work", len(f.Work.Cases), 0)
	t.Log("legacy_digpowv1 is algorithm 2, which version 1 refuses: not read")
}
