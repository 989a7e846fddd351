package remote_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// Push a generation as pending, and make it the head later, when the chain has confirmed it. The
// promotion sends only the recipe.
func ExamplePusher_Promote() {
	ctx := context.Background()
	publisher := auth.NewKey([32]byte{1})
	here := remotetest.NewMemory(auth.StoreIDFromKey(publisher.PublicKey()), nil)
	srv := server.New(remotetest.NewStores(nil), &server.Options{Policy: server.TrustOnFirstUse{}})
	origin := remotetest.NewOrigin(srv)
	defer origin.Close()
	client, err := origin.Client(here.ID(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	files := fstest.MapFS{"large": {Data: bytes.Repeat([]byte("much "), 50_000)}}
	publish := func(text string) {
		files["index.html"] = &fstest.MapFile{Data: []byte(text)}
		if _, err := here.Publish(ctx, publisher, files); err != nil {
			log.Fatal(err)
		}
	}
	publish("<h1>one</h1>")
	if _, err := remote.Push(ctx, client, here); err != nil {
		log.Fatal(err)
	}
	publish("<h1>two</h1>")
	p := remote.Pusher{Pending: true}
	report, err := p.Push(ctx, client, here)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pending:", report.Pending, "less than 1 KB for a module of", report.Bytes/1000, "KB:",
		report.Sent < 1000)
	report, err = p.Promote(ctx, client, here, merkle.Hash{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pending:", report.Pending, "less than 200 bytes:", report.Sent < 200)
	// Output:
	// pending: true less than 1 KB for a module of 254 KB: true
	// pending: false less than 200 bytes: true
}
