// Package cuda searches nonces on an NVIDIA GPU. It is a capsule.Worker:
//
//	w, err := cuda.New(nil)
//	if errors.Is(err, cuda.ErrUnavailable) {
//		// no driver or no GPU here: the CPU does it
//	}
//	prover.Work = w
//
// The driver library is opened at run time without cgo, and the kernel is in this package as
// CUDA source (search.cu) and as the PTX made from it (search.ptx), which the driver compiles:
// no toolkit is needed. A program that imports this package is dynamically linked; programs
// import it under a build tag of their own.
//
// Searches for less than 20 bits, and every search on systems other than Linux on amd64 and
// arm64, are done by the CPU. What the GPU finds is hashed again on the CPU before it is
// returned.
package cuda
