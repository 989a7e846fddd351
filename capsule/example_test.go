package capsule_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
)

func ExampleSplit() {
	ctx := context.Background()
	store := new(capsule.Memory)
	content := strings.NewReader("content that is longer than one capsule")
	m, err := capsule.Split(ctx, auth.StoreID{1}, content, &capsule.SplitOptions{Size: 16},
		func(d capsule.Descriptor, r io.Reader) error { return store.Put(ctx, d, r) })
	if err != nil {
		panic(err)
	}
	if err := store.Commit(ctx, m); err != nil {
		panic(err)
	}
	fmt.Println(len(m.Capsules), "capsules,", m.Size(), "bytes, root", m.Root.String()[:8])
	// Output: 3 capsules, 39 bytes, root a04382b6
}

// A capsule that came from somewhere else is checked against its descriptor while it is read.
func ExampleVerifyReader() {
	d, _ := capsule.Describe(0, strings.NewReader("what was promised"))
	r := capsule.VerifyReader(io.NopCloser(strings.NewReader("what has come now")), d)
	_, err := io.ReadAll(r)
	fmt.Println(err != nil)
	// Output: true
}

// A part of a capsule is checked without the rest.
func ExampleRangeProof() {
	content := bytes.Repeat([]byte("capsule "), 5000)
	d, _ := capsule.Describe(0, bytes.NewReader(content))
	var leaves []merkle.Hash
	for at := 0; at < len(content); at += capsule.ChunkSize {
		leaves = append(leaves, merkle.Leaf(content[at:min(at+capsule.ChunkSize, len(content))]))
	}
	p, err := capsule.ProveRange(leaves, 2, 3)
	if err != nil {
		panic(err)
	}
	part := content[2*capsule.ChunkSize : 5*capsule.ChunkSize]
	fmt.Println(len(leaves), "chunks,", len(p.Siblings), "siblings,", p.Check(d, part))
	part[0]++
	fmt.Println(p.Check(d, part) != nil)
	// Output:
	// 10 chunks, 4 siblings, <nil>
	// true
}

func ExampleReadManifest() {
	_, err := capsule.ReadManifest(strings.NewReader(`{"datastore_id": null}`), 0)
	fmt.Println(err)
	// Output: manifest: member datastore_id: malformed JSON: found 'n', expected a string
}

// A validator challenges a node, the node proves, and the validator verifies with nothing but
// the manifest.
func ExampleProver() {
	ctx := context.Background()
	content := bytes.Repeat([]byte("capsule "), 5000)
	m, err := capsule.Split(ctx, auth.StoreID{1}, bytes.NewReader(content), nil, nil)
	if err != nil {
		panic(err)
	}
	node, validator := auth.NewNodeKey([32]byte{1}), auth.NewNodeKey([32]byte{2})
	plots, err := capsuletest.NewPlots(capsule.PlotIdentity{PublicKey: node.PublicKey()},
		capsuletest.Holding{Manifest: m, Content: map[uint32][]byte{0: content}})
	if err != nil {
		panic(err)
	}

	c := &capsule.Challenge{
		ID: "example", Type: capsule.PhysicalAccess, CapsuleHash: m.Capsules[0].Hash,
		Entropy: merkle.Sum([]byte("drawn by the validator")), IssuedAt: 1_700_000_000,
		ExpiresAt: 1_700_000_060, Samples: 20,
	}
	if err := c.Sign(ctx, validator); err != nil {
		panic(err)
	}

	b, err := (&capsule.Prover{Key: node, Plots: plots}).Prove(ctx, c)
	if err != nil {
		panic(err)
	}

	res, err := b.Verify(ctx, c, &capsule.VerifyOptions{Refs: []capsule.Ref{m.Ref(0)}})
	if err != nil {
		panic(err)
	}
	fmt.Println(len(b.Access.Samples), "chunks shown; bound:", res.Bound, "-", res.Unbound)
	// Output: 10 chunks shown; bound: false - entropy was drawn by the validator
}

func ExampleCPUWorker() {
	in := capsule.WorkInput{CapsuleHash: merkle.Sum([]byte("capsule"))}
	nonce, err := capsule.NewCPUWorker(0).Search(context.Background(), in, 12)
	if err != nil {
		panic(err)
	}
	fmt.Println(capsule.ZeroBits(in.Hash(nonce)) >= 12)
	// Output: true
}

func ExamplePinnedRoots() {
	trust := capsule.PinnedRoots{auth.StoreID{1}: {merkle.Hash{2}: 10}}
	n, err := trust.Trusted(context.Background(), auth.StoreID{1}, merkle.Hash{2})
	fmt.Println(n, err)
	_, err = trust.Trusted(context.Background(), auth.StoreID{1}, merkle.Hash{3})
	fmt.Println(err != nil)
	// Output:
	// 10 <nil>
	// true
}

// A directory keeps capsules between runs; one process writes it.
func ExampleOpenDir() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "capsules")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := capsule.OpenDir(dir, nil)
	if err != nil {
		panic(err)
	}
	m, err := capsule.Split(ctx, auth.StoreID{1}, strings.NewReader("kept"), nil,
		func(d capsule.Descriptor, r io.Reader) error { return s.Put(ctx, d, r) })
	if err != nil {
		panic(err)
	}
	if err := s.Commit(ctx, m); err != nil {
		panic(err)
	}
	s.Close()

	s, err = capsule.OpenDir(dir, &capsule.DirOptions{ReadOnly: true})
	if err != nil {
		panic(err)
	}
	d, err := s.Stat(ctx, capsule.Ref{Store: m.Store}) // of the head
	if err != nil {
		panic(err)
	}
	rc, err := s.Open(ctx, d)
	if err != nil {
		panic(err)
	}
	r := capsule.VerifyReader(rc, d)
	defer r.Close()
	content, err := io.ReadAll(r)
	fmt.Println(string(content), err)
	// Output: kept <nil>
}

// A node answers only the validators that it knows, and each challenge once.
func ExampleResponder() {
	ctx := context.Background()
	node, validator, other := auth.NewNodeKey([32]byte{1}), auth.NewNodeKey([32]byte{2}),
		auth.NewNodeKey([32]byte{3})
	content := []byte("capsule")
	m, err := capsule.Split(ctx, auth.StoreID{1}, bytes.NewReader(content), nil, nil)
	if err != nil {
		panic(err)
	}
	plots, err := capsuletest.NewPlots(capsule.PlotIdentity{PublicKey: node.PublicKey()},
		capsuletest.Holding{Manifest: m, Content: map[uint32][]byte{0: content}})
	if err != nil {
		panic(err)
	}
	r := &capsule.Responder{
		Prover:     &capsule.Prover{Key: node, Plots: plots},
		Validators: []auth.NodePublicKey{validator.PublicKey()},
	}
	for _, key := range []*auth.NodeKey{validator, other} {
		now := uint64(time.Now().Unix())
		c := &capsule.Challenge{
			ID: "1", Type: capsule.DataInclusion, CapsuleHash: m.Capsules[0].Hash, IssuedAt: now,
			ExpiresAt: now + 60, Samples: 1,
		}
		if err := c.Sign(ctx, key); err != nil {
			panic(err)
		}
		_, err := r.Answer(ctx, c)
		fmt.Println(errors.Is(err, capsule.ErrUnknownValidator))
	}
	// Output:
	// false
	// true
}

// The statement of a writer vouches for a root.
func ExampleSignedRoots() {
	ctx := context.Background()
	writer := auth.NewKey([32]byte{1})
	m, err := capsule.Split(ctx, auth.StoreID{1}, strings.NewReader("content"), nil, nil)
	if err != nil {
		panic(err)
	}
	s, err := capsule.SignRoot(ctx, m, 1, writer)
	if err != nil {
		panic(err)
	}
	trust := &capsule.SignedRoots{
		Statement: func(context.Context, auth.StoreID, merkle.Hash) (capsule.RootStatement,
			error) {
			return s, nil
		},
		CanWrite: func(_ context.Context, _ auth.StoreID, key auth.PublicKey) error {
			if key != writer.PublicKey() {
				return auth.ErrForbidden
			}
			return nil
		},
	}
	n, err := trust.Trusted(ctx, m.Store, m.Root)
	fmt.Println(n, err)
	// Output: 1 <nil>
}
