package tier_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

func Example() {
	ctx := context.Background()
	tiers, err := tier.New(ctx, tier.Config{Storage: storage.NewMemory(nil)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tiers.Close()
	id := auth.StoreID{1}
	m, err := capsule.Split(ctx, id, strings.NewReader("hello, capsule"), nil,
		func(d capsule.Descriptor, r io.Reader) error { return tiers.Put(ctx, d, r) })
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := tiers.Commit(ctx, &storage.Generation{Manifest: m, Head: true}); err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		c, err := tiers.Get(ctx, capsule.Ref{Store: id}, "")
		if err != nil {
			fmt.Println(err)
			return
		}
		text, err := io.ReadAll(c)
		fmt.Printf("%s: %s, %v\n", c.Hit, text, err)
		c.Close()
	}
	// Output:
	// disk_read: hello, capsule, <nil>
	// l2_hit: hello, capsule, <nil>
	// l1_hit: hello, capsule, <nil>
}
