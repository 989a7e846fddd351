//go:build !unix

package diskfs

// noFollow has no counterpart here: a link is found by the Lstat before.
const noFollow = 0
