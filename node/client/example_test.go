package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/client"
	"github.com/dig-network/digstore/node/storage"
)

// served runs a node that is served, for the examples.
func served() (url string, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	n, err := node.New(ctx, node.Config{Key: nodeKey, Storage: storage.NewMemory(nil),
		Credential: credential})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	<-n.Ready()
	srv := httptest.NewServer(n)
	return srv.URL, func() {
		cancel()
		<-ended
		srv.Close()
	}
}

// A publisher pushes a datastore to a node, and a reader who knows the publisher's key reads it.
func Example() {
	ctx := context.Background()
	url, stop := served()
	defer stop()

	// The publisher cuts content into capsules, signs their root, and pushes them.
	publisher := auth.NewKey([32]byte{7})
	store := auth.StoreIDFromKey(publisher.PublicKey())
	content := new(capsule.Memory)
	manifest, err := capsule.Split(ctx, store, io.LimitReader(zeros{}, 10_000),
		&capsule.SplitOptions{Size: 4096}, func(d capsule.Descriptor, r io.Reader) error {
			return content.Put(ctx, d, r)
		})
	if err != nil {
		log.Fatal(err)
	}
	statement, err := capsule.SignRoot(ctx, manifest, 1, publisher)
	if err == nil {
		err = manifest.SetStatement(statement)
	}
	if err != nil {
		log.Fatal(err)
	}
	push, err := client.New(url, &client.Options{Token: ownerToken})
	if err != nil {
		log.Fatal(err)
	}
	defer push.Close()
	if _, err := push.Push(ctx, &client.Push{Manifest: manifest, Content: content}); err != nil {
		log.Fatal(err)
	}

	// The reader trusts roots that the publisher has signed.
	read, err := client.New(url, &client.Options{Writers: client.Keys(publisher.PublicKey())})
	if err != nil {
		log.Fatal(err)
	}
	defer read.Close()
	found, err := read.Manifest(ctx, store, merkle.Hash{})
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range found.Capsules {
		rc, err := read.Open(ctx, d)
		if err != nil {
			log.Fatal(err)
		}
		n, err := io.Copy(io.Discard, rc) // fails if a byte is wrong
		rc.Close()
		fmt.Println(d.Index, n, err)
	}
	// Output:
	// 0 4096 <nil>
	// 1 4096 <nil>
	// 2 1808 <nil>
}

// A refusal matches the error that its code stands for.
func ExampleStatusError() {
	ctx := context.Background()
	url, stop := served()
	defer stop()
	c, err := client.New(url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Resolve(ctx, "mydata")
	var status *client.StatusError
	if errors.As(err, &status) {
		fmt.Println(status.Status, status.Code, errors.Is(err, fs.ErrNotExist))
	}
	// Output: 404 handle_not_found true
}
