package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// A server is a handler. Here it serves a store from memory, and a client clones it without a
// network. A program would pass it to http.ListenAndServe, and serve a *digstore.Workspace.
func ExampleNew() {
	ctx := context.Background()
	publisher := auth.NewKey([32]byte{1})
	id := auth.StoreIDFromKey(publisher.PublicKey())
	store := remotetest.NewMemory(id, nil)
	if _, err := store.Publish(ctx, publisher,
		fstest.MapFS{"index.html": {Data: []byte("<h1>hello</h1>")}}); err != nil {
		fmt.Println(err)
		return
	}
	srv := server.New(remotetest.NewStores(nil, store), nil)

	origin := remotetest.NewOrigin(srv)
	defer origin.Close()
	client, err := origin.Client(id, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	copied := remotetest.NewMemory(id, nil)
	report, err := remote.Clone(ctx, copied, client, remote.Trust{KeyHashID: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("generation", report.Generation, "believed by", report.Basis)
	// Output: generation 0 believed by key hash
}

// Serving lists the stores of a server and their heads.
func ExampleServer_Serving() {
	ctx := context.Background()
	store := remotetest.NewMemory(auth.StoreID{0xab}, nil)
	srv := server.New(remotetest.NewStores(nil, store), nil)
	for id, err := range srv.Serving(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(id.Store.String()[:4], id.Root == merkle.Hash{})
	}
	// Output: ab00 true
}

// nightly is a custom policy: it accepts all stores of one publisher.
type nightly struct{ publisher auth.PublicKey }

func (p nightly) Admit(_ context.Context, first server.FirstPush) (auth.PublicKey, error) {
	return p.publisher, nil // the key that must sign the push
}

// A server refuses unknown stores, unless a policy accepts them. This one returns the key that must
// sign them.
func ExamplePolicy() {
	ctx := context.Background()
	publisher := auth.NewKey([32]byte{1})
	backend := remotetest.NewStores(nil)
	origin := remotetest.NewOrigin(server.New(backend,
		&server.Options{Policy: nightly{publisher.PublicKey()}}))
	defer origin.Close()
	for _, by := range []*auth.Key{publisher, auth.NewKey([32]byte{2})} {
		store := remotetest.NewMemory(auth.StoreIDFromKey(by.PublicKey()), nil)
		if _, err := store.Publish(ctx, by, fstest.MapFS{"build.log": {Data: []byte("ok")}}); err != nil {
			fmt.Println(err)
			return
		}
		client, err := origin.Client(store.ID(), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = remote.Push(ctx, client, store)
		fmt.Println("taken:", err == nil)
		client.Close()
	}
	// Output:
	// taken: true
	// taken: false
}

// A private server: every request must be signed, and Authorize decides which identity may do what.
func ExampleOptions_authorize() {
	ctx := context.Background()
	friend, stranger := auth.NewKey([32]byte{1}), auth.NewKey([32]byte{2})
	store := remotetest.NewMemory(auth.StoreIDFromKey(friend.PublicKey()), nil)
	if _, err := store.Publish(ctx, friend,
		fstest.MapFS{"diary.txt": {Data: []byte("dear diary")}}); err != nil {
		fmt.Println(err)
		return
	}
	srv := server.New(remotetest.NewStores(nil, store), &server.Options{
		Authorize: func(_ context.Context, who auth.PublicKey, op request.Op, _ auth.StoreID) error {
			if who != friend.PublicKey() || op == request.Tombstone {
				return auth.ErrForbidden
			}
			return nil
		},
	})
	// a program: server.NewHTTPServer(server, nil).ListenAndServeTLS(cert, key)
	origin := remotetest.NewOrigin(srv)
	defer origin.Close()
	for _, who := range []*auth.Key{friend, stranger} {
		client, err := origin.Client(store.ID(), &remote.ClientOptions{Identity: who})
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = client.Describe(ctx)
		fmt.Println("let in:", err == nil, "forbidden:", errors.Is(err, auth.ErrForbidden))
		client.Close()
	}
	// Output:
	// let in: true forbidden: false
	// let in: false forbidden: true
}

// A program that embeds a server checks credentials, is notified of changes and of each request,
// and passes it a module that did not arrive by HTTP.
func ExampleServer_Receive() {
	ctx := context.Background()
	publisher := auth.NewKey([32]byte{1})
	id := auth.StoreIDFromKey(publisher.PublicKey())
	srv := server.New(remotetest.NewStores(nil), &server.Options{
		Policy:     server.AllowList{id: publisher.PublicKey()},
		Credential: server.Credentials{"alice": "a long random secret"}.Check,
		Received: func(_ context.Context, r server.Received) error {
			fmt.Println("received:", r.Event, r.Root.IsZero(), r.Pending)
			return nil
		},
		Access: func(_ context.Context, a server.Access) { fmt.Println(a.Method, a.Route, a.Status) },
	})
	mod, head, err := remotetest.Module(ctx, id, publisher,
		fstest.MapFS{"index.html": {Data: []byte("<h1>hello</h1>")}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	pending, err := srv.Receive(ctx, head, merkle.Hash{}, bytes.NewReader(mod))
	fmt.Println("pending:", pending, err)
	// Output:
	// received: push false false
	// pending: false <nil>
}

// A ResourceIndex has a response for every key. Here it makes the reference's decoys, which are the
// same everywhere.
func ExampleResourceIndex_Open() {
	ctx := context.Background()
	publisher := auth.NewKey([32]byte{1})
	id := auth.StoreIDFromKey(publisher.PublicKey())
	store := remotetest.NewMemory(id, nil)
	head, err := store.Publish(ctx, publisher, fstest.MapFS{"index.html": {Data: []byte("hello")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	resources := server.NewResourceIndex(remotetest.NewStores(nil, store),
		&server.ResourceIndexOptions{Decoys: server.DecoyReference})
	for _, key := range []merkle.Hash{urn.RetrievalKey(id, "index.html"), {}} {
		r, err := resources.Open(ctx, module.ID{Store: id, Root: head.Root}, key)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Size(), "sealed bytes, with a proof:", r.Proof != nil)
		r.Close()
	}
	// Output:
	// 21 sealed bytes, with a proof: true
	// 256 sealed bytes, with a proof: false
}
