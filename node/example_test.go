package node_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/storage"
)

// A node in a program that has a server already: it is mounted below /dig/, and its content is
// read over HTTP.
func ExampleNew() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	st := storage.NewMemory(nil)
	id := auth.StoreID{0xab}
	m, err := capsule.Split(ctx, id, strings.NewReader("hello"), nil,
		func(d capsule.Descriptor, r io.Reader) error { return st.Put(ctx, d, r) })
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := st.Commit(ctx, &storage.Generation{Manifest: m, Head: true}); err != nil {
		fmt.Println(err)
		return
	}

	n, err := node.New(ctx, node.Config{Key: auth.NewNodeKey([32]byte{1}), Storage: st})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- n.Run(ctx) }()
	<-n.Ready()
	mux := http.NewServeMux()
	mux.Handle("/dig/", http.StripPrefix("/dig", n))
	srv := httptest.NewServer(mux)

	res, err := http.Get(fmt.Sprintf("%s/dig/capsule/%v/0", srv.URL, id))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	fmt.Printf("%s %s %v\n", res.Status, text, err)

	stop()
	fmt.Println(<-ended)
	srv.Close()
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 200 OK hello <nil>
	// <nil>
}
