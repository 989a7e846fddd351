// Package storage is where a node keeps capsules: the interface [Storage], and two
// implementations, [Memory] and [Dir]. An embedder brings its own, and tests it with
// nodetest.TestStorage.
//
// The package is apart from package node, so that the packages from which a node is assembled can
// name it too.
//
// # How content comes and goes
//
// Content comes before its generation: Put keeps one capsule under its hash, Commit makes a
// generation visible as a whole. Until then the content is staged: it can be opened, and Discard
// removes it. One content serves every generation, of any datastore, that names its hash.
//
//	Put      adds content                                     staged
//	Commit   adds a generation, whose content is there        committed
//	Discard  removes content that no generation names
//	Release  removes content that generations name            the generation stays
//	Remove   removes generations, and content that no other generation names
//
// After Release a generation is held in part: plots have the rest, or it was damaged, or it was
// evicted and peers have it. Stat and Manifest go on describing all of it. Held says what is here.
//
// # Heads
//
// A datastore has at most one head: the generation of the last Commit with Generation.Head. It
// has none while all of its generations came late, or after the head was removed.
//
// # Errors
//
// Absence is fs.ErrNotExist. It means that the storage works and does not have the thing. A
// storage that cannot tell, because its disk fails or is gone, returns another error:
// [ErrUnavailable], or the error of the disk. No room is [ErrNoSpace].
package storage
