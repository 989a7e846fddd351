// Command make-plot keeps a datastore in a plot file, proves that it is kept,
// and repairs it after damage. It takes no arguments and leaves nothing behind.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

func main() { run(context.Background(), os.Stdout) }

func run(ctx context.Context, out io.Writer) {
	dir := must(os.MkdirTemp("", "make-plot"))
	defer os.RemoveAll(dir)
	node, validator := auth.NewNodeKey([32]byte{1}), auth.NewNodeKey([32]byte{2})

	// The content of a datastore is cut into capsules.
	content, store := bytes.Repeat([]byte("what is kept "), 300_000), &capsule.Memory{}
	manifest := must(capsule.Split(ctx, auth.StoreID{7}, bytes.NewReader(content),
		&capsule.SplitOptions{Size: 1 << 20},
		func(d capsule.Descriptor, r io.Reader) error { return store.Put(ctx, d, r) }))

	// Write a plot of them.
	w := must(plot.Create(ctx, dir, []*capsule.Manifest{manifest}, node,
		&plot.Options{Compression: plot.None}))
	defer w.Close()
	check(w.AddFrom(ctx, store))
	info := must(w.Seal(ctx))
	fmt.Fprintf(out, "plot of %d capsules, %d bytes\n", info.Capsules, info.Size)

	// A validator asks about one capsule, and the node answers from its plots.
	plots := must(plot.OpenSet(ctx, nil, plot.Dir{Path: dir}))
	defer plots.Close()
	now, asked := uint64(time.Now().Unix()), manifest.Capsules[2]
	c := &capsule.Challenge{Type: capsule.PhysicalAccess, ID: "example", CapsuleHash: asked.Hash,
		Entropy: merkle.Sum([]byte("fresh random bytes")), IssuedAt: now, ExpiresAt: now +
			60, Samples: 20}
	check(c.Sign(ctx, validator))
	proof := must((&capsule.Prover{Key: node, Plots: plots}).Prove(ctx, c))
	result := must(proof.Verify(ctx, c,
		&capsule.VerifyOptions{Refs: []capsule.Ref{manifest.Ref(asked.Index)}}))
	fmt.Fprintf(out, "capsule %d is proved to be in plot %.8s…\n", result.Ref.Index, result.Plot.ID())

	// A byte of the file is damaged, and repaired from the datastore.
	b := must(os.ReadFile(info.Path))
	b[len(b)/2] ^= 1
	check(os.WriteFile(info.Path, b, 0o644))
	report := must(plot.Repair(ctx, info.Path, store, nil))
	fmt.Fprintf(out, "%d damaged block repaired\n", report.Blocks)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}
