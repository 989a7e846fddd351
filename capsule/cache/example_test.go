package cache_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
)

func ExampleCache() {
	ctx := context.Background()
	store := new(capsule.Memory)
	m, err := capsule.Split(ctx, auth.StoreID{1}, strings.NewReader("read again and again"), nil,
		func(d capsule.Descriptor, r io.Reader) error { return store.Put(ctx, d, r) })
	if err != nil {
		panic(err)
	}
	if err := store.Commit(ctx, m); err != nil {
		panic(err)
	}
	c, err := cache.New(store, nil)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	for range 3 {
		b, hit, err := c.Get(ctx, m.Ref(0), "client")
		if err != nil {
			panic(err)
		}
		fmt.Println(hit, b.Size())
		b.Close()
	}
	// Output:
	// disk_read 20
	// l2_hit 20
	// l1_hit 20
}
