// Package node assembles a node: one value that keeps capsules of datastores, serves them over
// HTTP, accepts pushes and proves to validators that it keeps them. A program makes it from a key
// and a storage, mounts it as a handler, and runs it:
//
//	n, err := node.New(ctx, node.Config{Key: key, Storage: storage.NewMemory(nil)})
//	mux.Handle("/dig/", http.StripPrefix("/dig", n))
//	err = n.Run(ctx) // until ctx ends
//
// New starts no goroutine. Run owns all goroutines and returns when they have stopped. A [Node] is
// an http.Handler that works below a path prefix. A process can have several nodes. The package
// reads no configuration file, environment or flags and handles no signals; the program does.
//
// # Parts
//
// Package node/api has the routes and node/PROTOCOL.md describes them; node/tier decides where
// capsules live; node/push decides who may push what; node/policy what is accepted; node/storage
// has the interface that a program may implement.
package node
