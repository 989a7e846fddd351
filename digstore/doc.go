// Package digstore keeps stores on your disk: workspaces, staging, commits, history, checkout, and the modules of
// all generations, given back bit for bit.
//
// # In short
//
//	w, err := digstore.Init(dir, nil)                       // makes dir/.dig
//	s, err := w.Create(digstore.StoreID{}, &digstore.StoreOptions{Name: "site", ContentRoot: "site"})
//	r, err := s.Commit(ctx, nil, &digstore.CommitOptions{Message: "first"})
//	http.ListenAndServe(addr, http.FileServerFS(r.Generation))
//
// A [Workspace] is a .dig directory with stores in it. A [Store] grows by generations. A [Generation] is a set of
// resources and an fs.FS. Commit makes one of what is staged or, with nothing staged, of the store's content root.
//
// A Workspace is also what package remote serves and pushes to, and a Store what it clones and pulls into; the two
// packages know nothing of each other, only of the interfaces between them.
//
// # On disk
//
// LAYOUT.md, beside this package, describes every file byte by byte:
//
//	.dig/workspace.toml                     stores, and which is active
//	.dig/lock                               held while workspace.toml is changed
//	.dig/stores/<name>/config.toml          settings
//	                   roots.log            the history: a line for each generation
//	                   roots.proof          each line a second time, with checksums
//	                   roots.dropped        which lines are of generations that are not held on purpose
//	                   history/*.idx        where in roots.log a root's line is; can be made again
//	                   publishing           what the last writer published, durable before any of it
//	                   lock                 held by the one writer
//	                   <id>.staging.bin     what is staged
//	                   signing_key.bin      the publisher key, where it is here
//	                   writer_key.bin       a key that was adopted: it commits here whoever signed the head
//	                   packs/<root>.<n>.pack  the chunks that a generation brought; n is a serial number, 16 hex digits
//	                   packs/gc-*.pack      chunks that gc kept of several packs
//	                   packs/run-*.idx      merged indexes of packs; can be made again
//	                   recipes/<root>.recipe  a module without its chunks, as a difference from an earlier one
//	                   sigs/                signatures of roots
//	                   tombstones/          revocations
//	                   pending/             pushed generations that wait to become the head
//	                   incoming/            modules, or chunks of them, that are being received, or broke off
//	                   evidence/            what speaks against origins
//	                   pins.json            the publisher's key, highest root and generation, and that there is roots.proof
//	                   statindex            how the content root looked at the last commit
//
// The formats stand where they are written: packs in pack.go, indexes in packindex.go, recipes in recipes.go, the
// stat index in statindex.go, the journal of a transfer in incoming.go, what becomes of chunks that come one by one
// in assemble.go, roots.log in loglines.go, roots.proof and roots.dropped in proofs.go, the index of roots.log in
// historyindex.go, publishing in sweep.go. A store of the
// reference is read as it is; its generations/ and modules/ are never written.
//
// # Long histories
//
// What is asked of a history of 100,000 generations costs little more than of one of 1,000: the head, the last
// lines, a line by its root, a generation by its root, and a commit, an install or a push on top of it read the lines
// behind the last index file, at most some 256, and one or two pages of each of a few index files. Only
// [Store.Generations], [Store.History] and [Store.GC] go through it all. No directory that grows with the history
// is listed but packs/, once in a process that reads or writes chunks, together with the indexes of chunks there.
//
// # What a crash leaves
//
// A generation is there when its line is in roots.log, which is appended last and synced, after everything it needs
// is durable. A line that is torn does not count and is cut off by the next writer, who also removes what belongs to no
// line: he finds in publishing what that may be. Signatures lie beside. So after a crash, or a failure at any
// single step, a store is what it was before or what it was to become.
//
// # What damage is
//
// A line of roots.log that is not as roots.proof has it, a generation that is missing and was not dropped, and a
// signature that was kept and is missing are damage: [ErrCorrupt] for readers and writers. Writers then change nothing,
// and nothing is removed. What may replace a missing head is taken by Install, Assemble and Import.
//
// A store that the reference, or a version before roots.proof, has made goes on without proofs: its lines are believed as
// they stand, with a head that is not held as the one sign of damage. [Store.Adopt] verifies what is held and makes the
// proofs, and [Store.Proven] says whether there are any.
//
// # Writers and readers
//
// One writer at a time works on a store, by a lock on disk that other processes respect too; a second one waits
// for a while ([Options].LockWait) and is then told who holds it, in a [*LockedError]. Readers take no lock. What
// another process commits is seen at the next call, for the cost of one stat.
//
// What is remembered between two calls is held against the disk before it is used: a recipe against the header of its
// file, roots.log against its size and time, and all of it is forgotten by a writer who finds in publishing another
// serial number than its own. A gc writes what it moves before it removes anything, no name of a pack is used
// twice, and a reader that finds a pack gone looks up again where its chunks are. While a generation is being received,
// which the lock of its directory in incoming/ says, a gc of another process removes no pack.
package digstore
