// Package dig is the map of the module; it holds documentation and no code.
//
// The DIG Network keeps folders as stores. A store grows by generations: each
// is the state of a folder at one time, sealed so that a host cannot read it,
// named by one root hash, and signed by its publisher. Anyone may serve a
// store, and whoever clones it checks every byte, so no host is trusted.
//
// The packages, from the bottom up:
//
//   - [github.com/dig-network/digstore/merkle]: hashes, trees and inclusion proofs.
//
//   - [github.com/dig-network/digstore/auth]: store ids, keys, signed roots and
//     tombstones; auth/request signs and checks the requests of the remote, and
//     auth/chain reads what the chain says about a store.
//
//   - [github.com/dig-network/digstore/digstore/urn]: addresses of resources
//     (urn:dig:…), and the keys that seal them.
//
//   - [github.com/dig-network/digstore/digstore/module]: the .dig file, one
//     generation as one verifiable file.
//
//   - [github.com/dig-network/digstore/digstore]: stores on a disk: stage,
//     commit, history, checkout. A generation is an [io/fs.FS].
//
//   - [github.com/dig-network/digstore/remote]: dig://, the remote: a client
//     that clones, pulls and pushes with all checks. remote/server is a server,
//     an [net/http.Handler]; remote/rpc is the dig.* JSON-RPC tier for readers, with its
//     handler in remote/server/rpc;
//     remote/conform tests any origin against the protocol, and
//     remote/remotetest has an honest origin and its liars, for tests.
//
//   - [github.com/dig-network/digstore/capsule]: slices of a datastore of at
//     most 4 GiB, and proofs that a node keeps them; capsule/cache is two tiers
//     in front of any source.
//
//   - [github.com/dig-network/digstore/plot]: plot files, in which capsules are
//     kept, found by one read, verified and repaired.
//
//   - Below node is what a node is made of: node/storage keeps capsules, node/index knows them,
//     node/policy decides what is taken, by the values of node/economy.
//
// The module of a generation is content like any other: cut into capsules it
// can be kept in plots.
//
// digstore and remote do not import each other. They meet through small
// interfaces over auth and module: a [digstore.Workspace] is what a
// [server.Server] serves, a [digstore.Store] is what [remote.Clone] fills.
//
// Documents for other implementations lie beside the packages: digstore/urn/FORMAT.md (addresses,
// keys and sealing), digstore/module/FORMAT.md (the .dig file), digstore/LAYOUT.md (a workspace on
// a disk), remote/PROTOCOL.md (dig://), remote/RECIPES.md (a generation as what changed),
// auth/chain/LINEAGE.md (a store on the chain), plot/FORMAT.md (the plot file) and node/PROTOCOL.md
// (a node).
//
// The folder examples holds programs that stand on these packages; start with
// examples/quickstart, which runs the whole way in one process. The command
// line program is examples/digstore.
//
// [digstore.Workspace]: https://pkg.go.dev/github.com/dig-network/digstore/digstore#Workspace
// [digstore.Store]: https://pkg.go.dev/github.com/dig-network/digstore/digstore#Store
// [server.Server]: https://pkg.go.dev/github.com/dig-network/digstore/remote/server#Server
// [remote.Clone]: https://pkg.go.dev/github.com/dig-network/digstore/remote#Clone
package dig
