package storage_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node/storage"
)

func Example() {
	ctx := context.Background()
	var s storage.Storage = storage.NewMemory(nil) // or OpenDir
	id := auth.StoreID{1}
	manifest, err := capsule.Split(ctx, id, strings.NewReader("hello, capsule"), nil,
		func(d capsule.Descriptor, r io.Reader) error { return s.Put(ctx, d, r) })
	if err != nil {
		fmt.Println(err)
		return
	}
	meta, err := storage.Meta{Origin: storage.Local}.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Commit(ctx, &storage.Generation{Manifest: manifest, Meta: meta, Head: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := s.Stat(ctx, capsule.Ref{Store: id})
	if err != nil {
		fmt.Println(err)
		return
	}
	rc, err := s.Open(ctx, d, 7, -1)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rc.Close()
	part, err := io.ReadAll(rc)
	fmt.Printf("%s of %d bytes, %v\n", part, d.Size, err)
	// Output: capsule of 14 bytes, <nil>
}

func ExampleMeta() {
	b, err := storage.Meta{Origin: storage.Push, Handle: "mydata"}.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := storage.DecodeMeta(b)
	fmt.Println(len(b), m.Origin, m.Handle, err)
	// Output: 43 push mydata <nil>
}
