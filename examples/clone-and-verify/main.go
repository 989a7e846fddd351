// Clone-and-verify fetches a store at a root that is known from elsewhere,
// first through a host that tampers, which is refused, then from the host itself.
//
//	clone-and-verify http://127.0.0.1:8443/stores/ID ROOT DIR
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: clone-and-verify URL ROOT DIR")
	}
	ctx := context.Background()
	url := must(remote.ParseURL(os.Args[1]))
	trust := remote.Trust{Root: must(merkle.ParseHash(os.Args[2]))}
	ws := must(digstore.Init(os.Args[3], nil))
	defer ws.Close()
	store := must(ws.Create(ctx, url.Store, nil))
	origin := must(remote.NewClient(url, nil))

	_, err := remote.Clone(ctx, store, tamperer{origin}, trust)
	fmt.Println("through a host that tampers:", err)
	report := must(remote.Clone(ctx, store, origin, trust))
	fmt.Printf("from the host itself: generation %d, every byte verified\n", report.Generation)
	for resource, err := range must(store.Latest()).Module().Resources() {
		fmt.Println("  resource", must(resource, err).Key())
	}
}

// tamperer flips one bit of the modules that an honest origin sends.
type tamperer struct{ remote.Origin }

func (t tamperer) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	b := must(io.ReadAll(must(t.Origin.Module(ctx, root))))
	b[len(b)/2] ^= 1
	return io.NopCloser(bytes.NewReader(b)), nil
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
