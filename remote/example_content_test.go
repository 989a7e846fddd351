package remote_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing/fstest"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// Read one resource without a clone. The root is known from elsewhere. For a missing resource the
// origin sends a decoy, which fails verification.
func ExampleClient_Content() {
	ctx := context.Background()
	origin, there, _ := published(ctx, fstest.MapFS{"index.html": {Data: []byte("<h1>one</h1>")}})
	defer origin.Close()
	client, err := origin.Client(there.ID(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	head, err := there.Head(ctx)
	if err != nil {
		log.Fatal(err)
	}
	page, err := client.Content(ctx, head.Root, "index.html", nil)
	fmt.Printf("%s %v\n", page, err)
	_, err = client.Content(ctx, head.Root, "nowhere.html", nil)
	fmt.Println("refused:", errors.Is(err, remote.ErrVerification))
	// Output:
	// <h1>one</h1> <nil>
	// refused: true
}

// Fetch the chunks that one generation has and another lacks into a cache. Each is checked.
func ExampleClient_Delta() {
	ctx := context.Background()
	origin, there, publisher := published(ctx,
		fstest.MapFS{"a": {Data: []byte("stays")}, "b": {Data: []byte("changes")}})
	defer origin.Close()
	first, err := there.Head(ctx)
	if err != nil {
		log.Fatal(err)
	}
	second, err := there.Publish(ctx, publisher,
		fstest.MapFS{"a": {Data: []byte("stays")}, "b": {Data: []byte("changed")}})
	if err != nil {
		log.Fatal(err)
	}
	client, err := origin.Client(there.ID(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	cache := map[merkle.Hash][]byte{}
	rows, err := client.Delta(ctx, first.Root, second.Root, func(id merkle.Hash, sealed []byte) error {
		cache[id] = append([]byte(nil), sealed...)
		return nil
	})
	fmt.Println(len(cache), "chunk,", len(rows), "row,", err)
	// Output: 1 chunk, 1 row, <nil>
}
