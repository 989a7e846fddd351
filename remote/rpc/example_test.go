package rpc_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
	serverrpc "github.com/dig-network/digstore/remote/server/rpc"
)

// Read one resource and verify it against a trusted root, here from the publisher.
func Example() {
	ctx := context.Background()
	publisher := auth.NewKey([32]byte{1})
	store := remotetest.NewMemory(auth.StoreIDFromKey(publisher.PublicKey()), nil)
	head, err := store.Publish(ctx, publisher,
		fstest.MapFS{"index.html": {Data: []byte("<h1>hello</h1>")}})
	if err != nil {
		log.Fatal(err)
	}

	// A server of both tiers. A program passes the mux to http.ListenAndServe, and serves a
	// *digstore.Workspace.
	srv := server.New(remotetest.NewStores(nil, store), nil)
	mux := http.NewServeMux()
	mux.Handle("/stores/", srv)
	mux.Handle("/", serverrpc.NewHandler(srv.Resources(), nil))
	origin := remotetest.NewOrigin(mux)
	defer origin.Close()

	// A program uses a host name and needs no custom transport.
	u, err := remote.ParseURL("http://127.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	transport, err := remote.NewTransport(&remote.ClientOptions{Dial: origin.Dial})
	if err != nil {
		log.Fatal(err)
	}
	client, err := rpc.NewClient(u, &rpc.ClientOptions{Transport: transport})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	page, err := client.Read(ctx, urn.URN{Store: store.ID(), Root: head.Root, Resource: "index.html"})
	fmt.Printf("%s %v\n", page, err)
	// Output: <h1>hello</h1> <nil>
}

// A clone uses the JSON-RPC tier if the module is too large for a GET.
func ExampleWindowFetcher() {
	ctx := context.Background()
	publisher := auth.NewKey([32]byte{1})
	there := remotetest.NewMemory(auth.StoreIDFromKey(publisher.PublicKey()), nil)
	if _, err := there.Publish(ctx, publisher,
		fstest.MapFS{"large.bin": {Data: make([]byte, 100_000)}}); err != nil {
		log.Fatal(err)
	}
	srv := server.New(remotetest.NewStores(nil, there), &server.Options{MaxInlineModule: 10_000})
	mux := http.NewServeMux()
	mux.Handle("/stores/", srv)
	mux.Handle("/", serverrpc.NewHandler(srv.Resources(), nil))
	origin := remotetest.NewOrigin(mux)
	defer origin.Close()

	client, err := origin.Client(there.ID(), &remote.ClientOptions{WindowFetcher: rpc.WindowFetcher{}})
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
	// Output: generation 0 believed by publisher
}
