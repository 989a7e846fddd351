package chaintest_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

// A store that is updated, given a writer, and updated by the writer.
func Example() {
	c := chaintest.New(nil)
	store := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	store.Update(merkle.Sum([]byte("first")))

	writer := chaintest.Writer(chaintest.Anyone(2))
	store.Delegate(nil, writer)
	store.UpdateBy(&writer, chain.Metadata{Root: merkle.Sum([]byte("second"))})

	history, err := chain.NewResolver(c, nil).History(context.Background(), store.ID())
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range history {
		fmt.Println(e.Generation, e.Root.String()[:8], e.By)
	}
	// Output:
	// 0 00000000 none
	// 1 a7937b64 owner
	// 2 a7937b64 owner
	// 3 16367aac writer
}

// The same chain behind the RPC of a full node.
func ExampleChain_Handler() {
	c := chaintest.New(nil)
	store := c.Mint(chain.Metadata{Root: merkle.Sum([]byte("first"))}, chaintest.Anyone(1))
	node := httptest.NewServer(c.Handler(nil))
	defer node.Close()

	source, err := chain.NewRPC(node.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	root, err := chain.NewResolver(source, nil).CurrentRoot(context.Background(), store.ID())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(root == merkle.Sum([]byte("first")))
	// Output: true
}
