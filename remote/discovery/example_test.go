package discovery_test

import (
	"context"
	"fmt"
	"log"

	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/discovery"
)

// A locator without a host goes to the nearest node that answers.
func ExampleResolver() {
	resolver := &discovery.Resolver{Probe: func(_ context.Context, origin string) error {
		fmt.Println("asked", origin)
		if origin != "http://localhost:9778" {
			return fmt.Errorf("nobody there")
		}
		return nil
	}}
	u, err := remote.ParseURL("dig://5b1f09ae5b1f09ae5b1f09ae5b1f09ae5b1f09ae5b1f09ae5b1f09ae5b1f09ae")
	if err != nil {
		log.Fatal(err)
	}
	found, err := resolver.Resolve(context.Background(), u)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("found", found[0].Origin())
	// Output:
	// asked https://dig.local
	// asked http://localhost:9778
	// found http://localhost:9778
}
