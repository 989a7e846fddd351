// Embed-node is a web service with a node of the DIG Network in it, on the service's own mux and
// logger. It keeps its capsules and its key below DIR, and stops at an interrupt.
//
//	embed-node DIR HOST:PORT
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/remote/server"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: embed-node DIR HOST:PORT")
	}
	dir, addr := os.Args[1], os.Args[2]
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	st := must(storage.OpenDir(filepath.Join(dir, "capsules"), nil))
	defer st.Close()
	n := must(node.New(ctx, node.Config{
		Key:     must(auth.LoadNodeKey(filepath.Join(dir, "node_key.bin"))),
		Storage: st,
		DataDir: filepath.Join(dir, "data"),
		Logger:  slog.Default(),
	}))
	mux := http.NewServeMux()
	mux.Handle("/dig/", http.StripPrefix("/dig", n))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "the service; its node is at /dig/")
	})
	srv := server.NewHTTPServer(mux, nil)
	srv.Addr = addr
	go func() { log.Print(srv.ListenAndServe()) }()
	if err := n.Run(ctx); err != nil {
		log.Print(err)
	}
	srv.Shutdown(context.Background())
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
