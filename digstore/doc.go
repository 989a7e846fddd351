// Package digstore keeps stores on a disk: workspaces, staging, commits, history and checkout. It
// returns the module of every generation bit for bit.
//
// # In short
//
//	w, err := digstore.Init(dir, nil)                       // makes dir/.dig
//	s, err := w.Create(ctx, digstore.StoreID{},
//		&digstore.StoreOptions{Name: "site", ContentRoot: "site"})
//	r, err := s.Commit(ctx, nil, &digstore.CommitOptions{Message: "first"})
//	http.ListenAndServe(addr, http.FileServerFS(r.Generation))
//
// A [Workspace] is a .dig directory with stores. A [Store] is a sequence of generations. A
// [Generation] is a set of resources and an fs.FS. Commit makes one from the staged resources or,
// if nothing is staged, from the content root of the store.
//
// Package remote serves a Workspace and receives pushes into it, and it clones and pulls into a
// Store. The two packages do not import each other; the interfaces are in package remote.
//
// # On disk
//
// LAYOUT.md, beside this package, describes every file: its format, when it is durable, and what
// is removed after a crash.
//
//	.dig/workspace.toml                     the stores, and the active one
//	.dig/lock                               held while workspace.toml is changed
//	.dig/stores/<name>/config.toml          settings
//	                   roots.log            the history: a line for each generation
//	                   roots.proof          checksums of the lines
//	                   roots.dropped        lines whose generations are not held on purpose
//	                   history/*.idx        index of roots.log by root; a cache
//	                   publishing           what the last writer published
//	                   lock                 held by the writer
//	                   <id>.staging.bin     staged resources
//	                   signing_key.bin      the publisher key
//	                   writer_key.bin       an adopted key, which commits in place of it
//	                   packs/*.pack         chunks
//	                   packs/run-*.idx      merged indexes of packs; a cache
//	                   recipes/<root>.recipe  a module without its chunks
//	                   sigs/                signatures of roots
//	                   tombstones/          revocations
//	                   pending/             pushed generations that are not the head yet
//	                   incoming/            transfers
//	                   evidence/            documents against origins
//	                   pins.json            the publisher key, and the highest root and generation
//	                   statindex            state of the content root at the last commit; a cache
//
// A store of the reference implementation is read as it is; its generations/ and modules/ are
// never written.
//
// # In this package and below it
//
// The package has what a caller sees: workspaces (workspace.go, registry.go), stores (create.go,
// store.go), staging (stage.go, stagefs.go), commits (commit.go, gather.go, seal.go), generations
// (generation.go, fsview.go, names.go), checkout.go, diff.go, verify.go, export.go and import.go.
// backend.go is a Workspace as a server.Backend, local.go a Store as a remote.Local.
//
// Each kind of file has a package below internal, which reads and writes it:
//
//	history, rootlog       roots.log, roots.proof, roots.dropped, history/
//	packdir, pack          packs/
//	recipedir, recipefile  recipes/
//	sigdir, tombdir        sigs/, tombstones/
//	namedir, names         names/
//	pinfile, keydir        pins.json; signing_key.bin and writer_key.bin
//	incoming, journal      incoming/
//	pending                pending/
//	publishing             publishing
//	staging, statindex     the staging file, statindex
//	evidence               evidence/
//	legacy                 generations/ and modules/ of the reference implementation
//
// They are used by storedir, which has the lock of the writers and the order in which files are
// written and removed; by receive, which adds generations that are pulled or pushed; and by gc.
// scan, with ignore, walks a content root, and sealer seals its files.
//
// # Long histories
//
// Most operations on a history of 100,000 generations cost little more than on one of 1,000: the
// head, the last lines, the line or the generation of a root, a commit, an install and a push.
// They read at most about 256 lines of roots.log, and a few pages of index files. Only
// [Store.Generations], [Store.History] and [Store.GC] read the whole history. Of the directories
// that grow with the history only packs/ is listed, once in each process that reads or writes
// chunks.
//
// # Crashes
//
// A generation exists when its line is in roots.log. The line is appended and synced last, when
// everything that the generation needs is durable. The next writer cuts off a torn line and removes
// files that belong to no line. After a crash, or a failure of any step, a store has its old or its
// new state.
//
// # Damage
//
// Damage is [ErrCorrupt], for readers and writers: a line of roots.log that differs from
// roots.proof, a generation that is missing and was not dropped, and a signature that was kept and
// is missing. Writers then change and remove nothing. Install, Assemble and Import can bring back
// a missing head.
//
// A store made by the reference implementation, or by a version before roots.proof, has no proofs.
// Its lines are not checked; the only damage that is detected is a head that is not held.
// [Store.Adopt] verifies the generations and writes the proofs. [Store.Proven] reports whether
// there are any.
//
// # Writers and readers
//
// One writer at a time changes a store. It holds a lock on disk, which other processes respect. A
// second writer waits for [Options].LockWait and then returns a [*LockedError]. Readers take no
// lock. They see the commits of other processes at the next call, for the cost of one stat.
//
// Caches are checked before they are used: a recipe by the header of its file, roots.log by its
// size and time. A writer discards all caches if publishing has another serial number than its own.
// GC writes moved chunks before it removes anything. Names of packs are not reused. A reader that
// does not find a pack looks up its chunks again. While a transfer is running, GC removes no pack.
package digstore
