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

// A server is a handler. Here it serves a store from memory, and is cloned from without a network;
// a program would give it to http.ListenAndServe, and a *digstore.Workspace in place of the memory.
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

// Serving lists what a server serves, for a program that wants to say so.
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

// nightly is a policy of one's own: it takes one publisher's stores, whatever they are called.
type nightly struct{ publisher auth.PublicKey }

func (p nightly) Admit(_ context.Context, first server.FirstPush) (auth.PublicKey, error) {
	return p.publisher, nil // the push has to be signed by it
}

// Stores that are not here yet are refused, unless a policy says otherwise. This one names the key
// that they have to be signed with.
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

// A server that only friends may use: everybody has to sign, and Authorize knows whose signature is
// let in to what.
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

// A program with a server in it names credentials, is told what was received and of each request,
// and gives it a module that came by another way than HTTP.
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

// A ResourceIndex answers every key. Here it makes the reference's decoys, which are the same
// everywhere.
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
