package remote_test

import (
	"context"
	"fmt"
	"log"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/bandwidth"
	"github.com/dig-network/digstore/remote/remotetest"
)

// Preview a clone.
func ExampleSync_Preview() {
	ctx := context.Background()
	origin, there, _ := published(ctx, fstest.MapFS{"index.html": {Data: []byte("<h1>one</h1>")}})
	defer origin.Close()
	client, err := origin.Client(there.ID(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sync := &remote.Sync{Trust: remote.Trust{KeyHashID: true}}
	preview, err := sync.Preview(ctx, remotetest.NewMemory(there.ID(), nil), client)
	if err != nil {
		log.Fatal(err)
	}
	for _, g := range preview.ToFetch {
		fmt.Printf("generation %d, %d bytes\n", g.Generation, g.Transfer)
	}
	// Output:
	// generation 0, 4672 bytes
}

// Read one file of a store at the root that its publisher signed.
func ExampleTrust_ResolveHead() {
	ctx := context.Background()
	origin, there, publisher := published(ctx,
		fstest.MapFS{"index.html": {Data: []byte("<h1>one</h1>")}})
	defer origin.Close()
	client, err := origin.Client(there.ID(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	trust := &remote.Trust{Publisher: publisher.PublicKey()}
	head, err := trust.ResolveHead(ctx, there.ID(), client)
	if err != nil {
		log.Fatal(err)
	}
	page, err := client.Content(ctx, head.Root, "index.html", nil)
	fmt.Printf("%s %v\n", page, err)
	// Output:
	// <h1>one</h1> <nil>
}

// Use a key for each host, so that hosts cannot link the requests.
func ExampleDeriveIdentity() {
	mine := auth.NewKey([32]byte{1})
	u,
		err :=
		remote.ParseURL(
			"https://example.org/stores/5b1f09ae5b1f09ae5b1f09ae5b1f09ae5b1f09ae5b1f09ae5b1f09ae5b1f09ae")
	if err != nil {
		log.Fatal(err)
	}
	client, err := remote.NewClient(u, &remote.ClientOptions{
		IdentityAt: func(host string) (auth.Signer, error) { return remote.DeriveIdentity(mine, host) },
		Bandwidth:  bandwidth.New(2_000_000, 500_000), // bytes per second, received and sent
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.URL().Origin())
	// Output:
	// https://example.org
}
