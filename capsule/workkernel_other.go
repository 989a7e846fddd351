//go:build !amd64 || purego

package capsule

func newWorkKernel(in WorkInput, bits int) workKernel { return newPortableKernel(in, bits) }
