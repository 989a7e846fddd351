// Package storage has the interface [Storage] of a store of capsules, and two implementations,
// [Memory] and [Dir]. A program can use its own, and test it with nodetest.TestStorage.
//
// The package is separate from package node, so that the parts of a node can import it.
//
// # How content comes and goes
//
// Content is stored before its generation: Put stores one capsule under its hash, and Commit makes
// a generation visible as a whole. Until then the content is staged: it can be opened, and Discard
// removes it. All generations, of any datastore, share content by its hash.
//
//	Put      adds content                                     staged
//	Commit   adds a generation, whose content is there        committed
//	Discard  removes content that no generation names
//	Release  removes content that generations name            the generation stays
//	Remove   removes generations, and content that no other generation names
//
// After Release a generation is partly held: plots have the rest, or it was damaged, or it was
// evicted and peers have it. Stat and Generation still describe all of it. Held yields the held
// part.
//
// # Heads
//
// A datastore has at most one head: the generation of the last Commit with Generation.Head. It has
// none if no generation was committed as head, or after the head was removed.
//
// # Errors
//
// A missing object is fs.ErrNotExist: the storage works and does not have it. If the disk fails or
// is missing, the error is [ErrUnavailable] or that of the disk. A full storage is [ErrNoSpace].
package storage
