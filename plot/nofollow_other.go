//go:build !unix

package plot

// noFollow has no counterpart here: a link is found by the Lstat before.
const noFollow = 0
