package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// published returns an origin that serves a store of one generation without a network, and the
// publisher's key. A program has a host name instead, and knows the key from elsewhere.
func published(ctx context.Context,
	files fstest.MapFS) (*remotetest.Origin, *remotetest.Memory, *auth.Key) {
	var seed [32]byte
	seed[0] = 1
	publisher := auth.NewKey(seed)
	store := remotetest.NewMemory(auth.StoreIDFromKey(publisher.PublicKey()), nil)
	if _, err := store.Publish(ctx, publisher, files); err != nil {
		log.Fatal(err)
	}
	return remotetest.NewOrigin(server.New(remotetest.NewStores(nil, store), nil)), store, publisher
}

// Clone a store into an empty one, trusting the publisher's key, and pull later. Use
// *digstore.Store instead of the store in memory to keep it.
func Example() {
	ctx := context.Background()
	origin, there, publisher := published(ctx,
		fstest.MapFS{"index.html": {Data: []byte("<h1>one</h1>")}})
	defer origin.Close()
	client, err := origin.Client(there.ID(), nil) // for a named host: remote.NewClient(url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	here := remotetest.NewMemory(there.ID(), nil)
	report, err := remote.Clone(ctx, here, client, remote.Trust{Publisher: publisher.PublicKey()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("generation", report.Generation, "believed by", report.Basis)

	if _, err := there.Publish(ctx, publisher,
		fstest.MapFS{"index.html": {Data: []byte("<h1>two</h1>")}}); err != nil {
		log.Fatal(err)
	}
	for range 2 { // the key is pinned now; a pull needs no other trust
		report, err = remote.Pull(ctx, here, client, remote.Trust{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("generation", report.Generation, "up to date before:", report.UpToDate)
	}
	// Output:
	// generation 0 believed by publisher
	// generation 1 up to date before: false
	// generation 1 up to date before: true
}

// A failed check has a name, and nothing that the origin sent becomes visible.
func ExampleVerificationError() {
	ctx := context.Background()
	origin, there, _ := published(ctx, fstest.MapFS{"index.html": {Data: []byte("hello")}})
	defer origin.Close()
	client, err := origin.Client(there.ID(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	here := remotetest.NewMemory(there.ID(), nil)
	for _, trust := range []remote.Trust{
		{},                     // trusts nothing
		{Root: merkle.Hash{1}}, // a root that the origin does not have
	} {
		_, err := remote.Clone(ctx, here, client, trust)
		var refused *remote.VerificationError
		if errors.As(err, &refused) {
			fmt.Println("refused by check", refused.Check)
		}
	}
	head, err := here.Head(ctx)
	fmt.Println("installed something:", !head.Root.IsZero(), err)
	// Output:
	// refused by check trust
	// refused by check anchor
	// installed something: false <nil>
}

// The client resolves a locator and sends requests over HTTPS.
func ExampleParseURL() {
	u,
		err :=
		remote.ParseURL(
			"dig://alice@Example.org:8443/00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u)
	fmt.Println(u.Endpoint())
	_,
		err =
		remote.ParseURL(
			"http://example.org/stores/00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
	fmt.Println(errors.Is(err, remote.ErrInsecure))
	// Output:
	// dig://alice@example.org:8443/00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
	// https://example.org:8443/stores/00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
	// true
}

// Push a store for the first time, to a node that accepts it. Push sends every generation that the
// node lacks, oldest first.
func ExamplePush() {
	ctx := context.Background()
	first, mine, publisher := published(ctx, fstest.MapFS{"a": {Data: []byte("1")}})
	defer first.Close()
	if _, err := mine.Publish(ctx, publisher, fstest.MapFS{"a": {Data: []byte("2")}}); err != nil {
		log.Fatal(err)
	}
	node := remotetest.NewOrigin(server.New(remotetest.NewStores(nil), &server.Options{
		Policy: server.AllowList{mine.ID(): publisher.PublicKey()},
	}))
	defer node.Close()
	client, err := node.Client(mine.ID(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for range 2 {
		report, err := remote.Push(ctx, client, mine)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(report.Pushed), "pushed, up to date before:", report.UpToDate)
	}
	// Output:
	// 2 pushed, up to date before: false
	// 0 pushed, up to date before: true
}

// wallet stands for the Publisher of a hub, which pays for each generation on chain.
type wallet struct{}

func (wallet) Publish(_ context.Context, p remote.PutRequest, mod io.ReadSeeker) (bool, error) {
	if _, err := mod.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	n, err := io.Copy(io.Discard, mod) // upload, spend, wait for a block
	fmt.Println("the wallet published a module, all of it:", n == p.Size,
		"after nothing:", p.Parent.IsZero())
	return true, err
}

// Push to a hub through a Publisher.
func ExamplePublisher() {
	ctx := context.Background()
	node, mine, publisher := published(ctx, fstest.MapFS{"a": {Data: []byte("1")}})
	node.Close()
	empty := remotetest.NewOrigin(server.New(remotetest.NewStores(nil), &server.Options{
		Policy: server.AllowList{mine.ID(): publisher.PublicKey()},
	}))
	defer empty.Close()
	client, err := empty.Client(mine.ID(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	report, err := (&remote.Pusher{Publisher: wallet{}}).Push(ctx, client, mine)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pending:", report.Pending)
	// Output:
	// the wallet published a module, all of it: true after nothing: true
	// pending: true
}
