// Quickstart does the main job in one process: a folder is published and
// served, somebody else clones it and reads a page, and a host that flips one
// bit is refused.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

func main() {
	ctx, dir := context.Background(), must(os.MkdirTemp("", "dig-quickstart-"))
	defer os.RemoveAll(dir)
	site := fstest.MapFS{ // any fs.FS will do: os.DirFS, an embed.FS, a zip file
		"index.html": {Data: []byte("<h1>Hello, DIG Network</h1>")},
		"photo.jpg":  {Data: make([]byte, 300_000)},
	}
	publisher := must(digstore.Init(filepath.Join(dir, "publisher"), nil))
	store := must(publisher.Create(ctx, auth.StoreID{}, nil)) // a new key; the id is its hash
	check(store.StageFS(ctx, site))
	root := must(store.Commit(ctx, nil, nil)).Generation.Info().Root
	fmt.Printf("published %d files, sealed and signed, as root %v\n", len(site), root)

	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(listener, server.New(publisher, nil))
	url := must(remote.ParseURL(fmt.Sprintf("http://%v/stores/%v", listener.Addr(), store.ID())))
	fmt.Println("serving at", url)

	origin := must(remote.NewClient(url, nil))
	reader := must(digstore.Init(filepath.Join(dir, "reader"), nil))
	// known from elsewhere; see Trust for the other reasons to believe
	trust := remote.Trust{Root: root}
	copied := must(reader.Create(ctx, store.ID(), nil))
	must(remote.Clone(ctx, copied, origin, trust))
	page := must(fs.ReadFile(must(copied.Latest()), "index.html"))
	fmt.Printf("cloned, every byte verified; index.html is %s\n", page)

	victim := must(must(digstore.Init(filepath.Join(dir, "victim"), nil)).Create(ctx, store.ID(), nil))
	_, err := remote.Clone(ctx, victim, tamperer{origin}, trust)
	if _, latest := victim.Latest(); !errors.Is(err, remote.ErrVerification) ||
		!errors.Is(latest, fs.ErrNotExist) {
		log.Fatalf("one bit was flipped and not refused: %v, %v", err, latest)
	}
	fmt.Println("a host that flips one bit is refused, nothing is kept:", err)
}

type tamperer struct{ remote.Origin }

func (t tamperer) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	b := must(io.ReadAll(must(t.Origin.Module(ctx, root))))
	b[len(b)/2] ^= 1
	return io.NopCloser(bytes.NewReader(b)), nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}
