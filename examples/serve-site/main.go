// Serve-site serves the newest generation of a workspace's active store as a
// web site, after it has read and hashed every chunk of it.
//
//	serve-site DIR HOST:PORT
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/dig-network/digstore/digstore"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: serve-site DIR HOST:PORT")
	}
	dir, addr := os.Args[1], os.Args[2]
	store := must(must(digstore.Find(dir, nil)).Active())
	site := must(store.Latest())
	if err := site.Module().Verify(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s/ shows generation %d of %s\n", addr, site.Info().Number, store.Name())
	log.Fatal(http.ListenAndServe(addr, http.FileServerFS(site)))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
