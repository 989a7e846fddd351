package gcmsiv

import (
	"slices"
	"unsafe"
)

// extend appends n bytes of any content to dst and returns the longer slice
// and the part that is new.
func extend(dst []byte, n int) (whole, added []byte) {
	whole = slices.Grow(dst, n)[:len(dst)+n]
	return whole, whole[len(dst):]
}

// overlapsBadly reports whether out and in share memory without starting at the
// same byte: written front to back, out would then spoil in before it is read.
func overlapsBadly(out, in []byte) bool {
	if len(out) == 0 || len(in) == 0 {
		return false
	}
	o, i := uintptr(unsafe.Pointer(&out[0])), uintptr(unsafe.Pointer(&in[0]))
	return o != i && o < i+uintptr(len(in)) && i < o+uintptr(len(out))
}
