// Package node assembles a node: one value that keeps capsules of datastores, serves them over
// HTTP, takes pushes and proves to validators what it keeps. A program gives it a key and a
// storage, mounts it, and runs it:
//
//	n, err := node.New(ctx, node.Config{Key: key, Storage: storage.NewMemory(nil)})
//	mux.Handle("/dig/", http.StripPrefix("/dig", n))
//	err = n.Run(ctx) // until ctx ends
//
// New starts nothing, Run owns everything that runs and returns when it has stopped. A [Node] is
// an http.Handler that works below a path prefix, and several nodes can be in one process. The
// package reads no configuration file, no environment and no flag, and handles no signal: that is
// for the program.
//
// # Parts
//
// Package node/api has the routes and node/PROTOCOL.md describes them; node/tier decides where
// capsules live; node/push who may push what; node/policy what is taken; node/storage is what a
// program may implement itself.
package node
