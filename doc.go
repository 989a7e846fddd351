// Package dig documents the module; it has no code.
//
// The DIG Network publishes folders as stores. A store has generations. Each is
// a snapshot of a folder, encrypted so that a host cannot read it, named by one
// root hash, and signed by its publisher. Anyone can serve a store. A clone
// checks every byte, so hosts need not be trusted.
//
// The packages, from the bottom up:
//
//   - [github.com/dig-network/digstore/merkle]: hashes, trees and inclusion proofs.
//
//   - [github.com/dig-network/digstore/auth]: store ids, keys, signed roots and
//     tombstones; auth/request signs and authenticates requests, and auth/chain
//     reads a store's roots and writers from the Chia chain.
//
//   - [github.com/dig-network/digstore/digstore/urn]: addresses of resources
//     (urn:dig:…), and the keys that encrypt them.
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
//     remote/discovery finds a node nearby;
//     remote/conform tests any origin against the protocol, and
//     remote/remotetest has an origin, and dishonest variants of it, for tests.
//
//   - [github.com/dig-network/digstore/capsule]: slices of a datastore of at
//     most 4 GiB, and proofs that a node keeps them; capsule/cache is a cache for
//     any source.
//
//   - [github.com/dig-network/digstore/plot]: plot files, which
//     keep capsules: find, verify, repair.
//
//   - Below node is what a node is made of: node/storage keeps capsules, node/index knows them,
//     node/policy decides what is taken, by the values of node/economy.
//
// The module of a generation can be cut into capsules and kept in plots.
//
// digstore and remote do not import each other. They are connected by small
// interfaces over auth and module: a [server.Server] serves a
// [digstore.Workspace], and [remote.Clone] writes to a [digstore.Store].
//
// Documents for other implementations are in the folders of the packages:
// digstore/urn/FORMAT.md (addresses, keys and sealing), digstore/module/FORMAT.md
// (the .dig file), digstore/LAYOUT.md (a workspace on a disk), remote/PROTOCOL.md
// (dig://), remote/RECIPES.md (a generation as what changed),
// auth/chain/LINEAGE.md (a store on the chain) and plot/FORMAT.md (the plot file).
//
// The folder examples has programs that use these packages; start with
// examples/quickstart, which publishes, serves and clones a store in one process.
// The command line program is examples/digstore.
//
// [digstore.Workspace]: https://pkg.go.dev/github.com/dig-network/digstore/digstore#Workspace
// [digstore.Store]: https://pkg.go.dev/github.com/dig-network/digstore/digstore#Store
// [server.Server]: https://pkg.go.dev/github.com/dig-network/digstore/remote/server#Server
// [remote.Clone]: https://pkg.go.dev/github.com/dig-network/digstore/remote#Clone
package dig
