package chain_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

// Read a store from a host with the RPC of a full node. Here it is a chain in memory; a program
// uses https://api.coinset.org or its own node.
func Example() {
	ctx := context.Background()
	blocks := chaintest.New(nil)
	store := blocks.Mint(chain.Metadata{}, chaintest.Anyone(1))
	store.Update(merkle.Sum([]byte("first")))
	store.Update(merkle.Sum([]byte("second")))
	host := httptest.NewServer(blocks.Handler(nil))
	defer host.Close()

	source, err := chain.NewRPC(host.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	resolver := chain.NewResolver(source, nil)
	tip, err := resolver.Tip(ctx, store.ID())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("root %.8v, %s, by the word of a %s\n", tip.Root(), tip.Status, tip.Trust)
	roots, err := resolver.Lineage(ctx, store.ID())
	if err != nil {
		log.Fatal(err)
	}
	for i, root := range roots {
		fmt.Printf("%d %.8v\n", i, root)
	}
	_, err = resolver.Tip(ctx, auth.StoreID{1})
	fmt.Println("unknown store:", errors.Is(err, chain.ErrStoreNotFound))
	// Output:
	// root 16367aac, shallow, by the word of a single public source
	// 0 a7937b64
	// 1 16367aac
	// unknown store: true
}

// Only settled generations decide which keys may write.
func ExampleResolver_CanWrite() {
	ctx := context.Background()
	owner, helper := auth.NewKey([auth.SeedSize]byte{1}), auth.NewKey([auth.SeedSize]byte{2})
	blocks := chaintest.New(nil)
	store := blocks.Mint(chain.Metadata{}, chaintest.Standard(owner.PublicKey()))
	blocks.Farm(31)
	store.Delegate(nil, chaintest.Writer(chaintest.Standard(helper.PublicKey())))

	resolver := chain.NewResolver(blocks, &chain.Options{TipAge: -1})
	for range 2 {
		role, err := resolver.CanWrite(ctx, store.ID(), helper.PublicKey())
		fmt.Println(role, "settled:", !errors.Is(err, chain.ErrShallow))
		blocks.Farm(31)
	}
	// Output:
	// writer settled: false
	// writer settled: true
}

// A Quorum requires that several sources agree.
func ExampleNewQuorum() {
	ctx := context.Background()
	honest := chaintest.New(nil)
	store := honest.Mint(chain.Metadata{Root: merkle.Sum([]byte("true"))}, chaintest.Anyone(1))
	honest.Farm(5)
	other := chaintest.New(nil) // does not have the store
	other.Farm(6)

	q, err := chain.NewQuorum([]chain.Source{honest, honest, other}, nil)
	if err != nil {
		log.Fatal(err)
	}
	root, err := chain.NewResolver(q, nil).CurrentRoot(ctx, store.ID())
	fmt.Printf("%.8v %v\n", root, err)

	q, err = chain.NewQuorum([]chain.Source{honest, other}, nil) // both must agree
	if err != nil {
		log.Fatal(err)
	}
	_, err = chain.NewResolver(q, nil).CurrentRoot(ctx, store.ID())
	fmt.Println(errors.Is(err, chain.ErrSourcesDisagree))
	// Output:
	// b5bea41b <nil>
	// true
}

// An address is a puzzle hash that people can copy.
func ExampleParseAddress() {
	const treasury = "xch1a37rq3cgcl2ecpudttsf35x75qzdan68lgw2l6ajvmqs44jxdn5qv6pk3y" // of DIG
	prefix, puzzle, err := chain.ParseAddress(treasury)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(prefix, puzzle)
	fmt.Println(chain.Address(chain.PrefixTestnet, puzzle))
	_, _, err = chain.ParseAddress(strings.Replace(treasury, "pk3y", "pk3z", 1))
	fmt.Println(strings.Replace(err.Error(), `": `, "\":\n", 1))
	// Output: xch ec7c304708c7d59c078d5ae098d0dea004decf47fa1cafebb266c10ad6466ce8
	// txch1a37rq3cgcl2ecpudttsf35x75qzdan68lgw2l6ajvmqs44jxdn5qpaxqsh
	// parse address "xch1a37rq3cgcl2ecpudttsf35x75qzdan68lgw2l6ajvmqs44jxdn5qv6pk3z":
	// checksum does not match
}

// A root from a configuration replaces the chain.
func ExamplePinned() {
	store, root := auth.StoreID{1}, merkle.Sum([]byte("known"))
	tip, err := chain.Pinned{store: root}.Tip(context.Background(), store)
	fmt.Println(tip.Status, tip.Root() == root, err)
	// Output: unanchored true <nil>
}
