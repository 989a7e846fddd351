package remote_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// Clone from three origins. One of them sends false data; the clone succeeds, and the report names
// that origin.
func ExampleNewOrigins() {
	ctx := context.Background()
	w, err := remotetest.NewWorld(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	var mirrors []remote.Mirror
	for _, name := range []string{"forged-signature", "", "stale-head"} {
		h, err := w.Honest(ctx, remotetest.Generations)
		for _, liar := range remotetest.Liars() {
			if liar.Name == name {
				h, err = liar.Handler(ctx, w)
			}
		}
		if err != nil {
			log.Fatal(err)
		}
		at := remotetest.NewOrigin(h)
		defer at.Close()
		client, err := at.Client(w.Store, nil)
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		mirrors = append(mirrors,
			remote.Mirror{Name: fmt.Sprintf("mirror %d", len(mirrors)+1), Origin: client})
	}
	origins, err := remote.NewOrigins(mirrors, nil)
	if err != nil {
		log.Fatal(err)
	}
	store := remotetest.NewMemory(w.Store, nil)
	report, err := remote.Clone(ctx, store, origins, remote.Trust{Publisher: w.Publisher.PublicKey()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("generation", report.Generation)
	for _, a := range report.Origins {
		fmt.Println(a.Origin, "is", a.State)
	}
	// Output:
	// generation 2
	// mirror 1 is refused
	// mirror 2 is used
	// mirror 3 is behind
}

// A publisher signed two histories. The pull fails, and the evidence is kept.
func ExampleParseEvidence() {
	ctx := context.Background()
	w, err := remotetest.NewWorld(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := w.Memory(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	for _, liar := range remotetest.Liars() {
		if liar.Name != "forked" {
			continue
		}
		h, err := liar.Handler(ctx, w)
		if err != nil {
			log.Fatal(err)
		}
		at := remotetest.NewOrigin(h)
		defer at.Close()
		client, err := at.Client(w.Store, nil)
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		_, err = remote.Pull(ctx, store, client, remote.Trust{})
		fmt.Println("refused:", errors.Is(err, remote.ErrForked))
	}
	docs, err := store.Evidence(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, doc := range docs {
		e, err := remote.ParseEvidence(doc)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Kind, "proven:", e.Check() == nil)
	}
	// Output:
	// refused: true
	// fork proven: true
}
