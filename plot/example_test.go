package plot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/plot"
)

// exampleStore returns a store that holds a datastore of three capsules.
func exampleStore(ctx context.Context) (*capsule.Memory, *capsule.Manifest) {
	store := &capsule.Memory{}
	content := strings.NewReader(strings.Repeat("the content of a datastore ", 100_000))
	m, err := capsule.Split(ctx, auth.StoreID{1}, content, &capsule.SplitOptions{Size: 1 << 20},
		func(d capsule.Descriptor, r io.Reader) error { return store.Put(ctx, d, r) })
	if err != nil {
		log.Fatal(err)
	}
	return store, m
}

// A datastore is written to a plot, and read from it again.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "plots")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, manifest := exampleStore(ctx)
	key := auth.NewNodeKey([32]byte{42})

	w, err := plot.Create(ctx, dir, []*capsule.Manifest{manifest}, key,
		&plot.Options{Created: time.Unix(1_700_000_000, 0)})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	if err := w.AddFrom(ctx, store); err != nil {
		log.Fatal(err)
	}
	info, err := w.Seal(ctx)
	if err != nil {
		log.Fatal(err)
	}

	r, err := plot.Open(info.Path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Verify(ctx, plot.Full, nil); err != nil {
		log.Fatal(err)
	}
	c, err := r.Capsule(manifest.Capsules[2], plot.Verified)
	if err != nil {
		log.Fatal(err)
	}
	part := make([]byte, 24)
	if _, err := c.ReadAt(part, 2); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d capsules, %d bytes of content: %q\n", info.Capsules, info.Content, part)
	// Output: 3 capsules, 2700000 bytes of content: "t of a datastore the con"
}

// A byte of a plot is changed. Verification finds it, and Repair writes the
// block again from another source.
func ExampleRepair() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "plots")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, manifest := exampleStore(ctx)
	w, err := plot.Create(ctx, dir, []*capsule.Manifest{manifest}, auth.NewNodeKey([32]byte{42}),
		&plot.Options{Compression: plot.None})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	if err := errors.Join(w.AddFrom(ctx, store)); err != nil {
		log.Fatal(err)
	}
	info, err := w.Seal(ctx)
	if err != nil {
		log.Fatal(err)
	}
	b, err := os.ReadFile(info.Path)
	if err != nil {
		log.Fatal(err)
	}
	b[bytes.Index(b, []byte("content of"))] ^= 1
	if err := os.WriteFile(info.Path, b, 0o644); err != nil {
		log.Fatal(err)
	}

	report, err := plot.Repair(ctx, info.Path, store, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("blocks repaired:", report.Blocks)
	// Output: blocks repaired: 1
}
