package index_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/storage"
)

func Example() {
	ctx := context.Background()
	s := storage.NewMemory(nil)
	m, err := capsule.Split(ctx, auth.StoreID{1}, strings.NewReader("hello"), nil,
		func(d capsule.Descriptor, r io.Reader) error { return s.Put(ctx, d, r) })
	if err == nil {
		err = s.Commit(ctx, &storage.Generation{Manifest: m, Head: true})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	x := index.New() // or Load
	report, err := x.Update(ctx, index.NewStorageSource("storage", s))
	if err != nil {
		fmt.Println(err)
		return
	}
	ref, d, err := x.Find(m.Capsules[0].Hash)
	fmt.Println(report.Read, ref.Index, d.Size, err)
	// Output: 1 0 5 <nil>
}
