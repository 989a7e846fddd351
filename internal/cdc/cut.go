package cdc

import (
	"runtime"
	"slices"
	"sync"
)

// Next returns the length of the first chunk of data. atEOF is true if nothing follows
// data. Otherwise 0 means that the length depends on what follows; it never does for
// Max bytes that are more than Min. For empty data it returns 0.
func Next(p Params, data []byte, atEOF bool) int {
	n, _ := p.rule().next(data, 0, atEOF)
	return n
}

// Cuts appends the ends of the chunks of data to dst, each the offset of the
// byte after a chunk. The last is len(data), unless there is no data.
func Cuts(data []byte, p Params, dst []int) []int {
	return p.rule().cuts(data, 0, len(data), dst)
}

// cuts appends the cuts of the chunks that start with a chunk at byte from, up
// to the first that is at to or beyond it.
func (r rule) cuts(data []byte, from, to int, dst []int) []int {
	for from < to {
		n, _ := r.next(data[from:], 0, true)
		from += n
		dst = append(dst, from)
	}
	return dst
}

// minPart is the smallest number of bytes for one goroutine. A part also holds several
// chunks, since the first ones of a part are discarded.
const minPart = 1 << 20

// CutsParallel is Cuts with up to workers goroutines, runtime.GOMAXPROCS of them
// when workers is not positive. It returns when they have ended. data of less
// than a few MiB is cut by the caller alone.
//
// Each part of data is cut as if a chunk began with it. After a few chunks, usually one
// or two, the cuts are those of the whole data.
func CutsParallel(data []byte, p Params, dst []int, workers int) []int {
	r := p.rule()
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	part := max(len(data)/workers+1, minPart)
	if r.max < len(data)/8 {
		part = max(part, 8*r.max)
	} else {
		part = len(data)
	}
	if workers == 1 || part >= len(data) {
		return r.cuts(data, 0, len(data), dst)
	}

	found := make([][]int, (len(data)-1)/part+1)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			from := i * part
			found[i] = r.cuts(data, from, min(from+part, len(data)), nil)
		})
	}
	wg.Wait()
	dst = append(dst, found[0]...)
	at := dst[len(dst)-1]
	for _, cuts := range found[1:] {
		end := cuts[len(cuts)-1]
		for at < end {
			if i, ok := slices.BinarySearch(cuts, at); ok {
				dst = append(dst, cuts[i+1:]...)
				at = end
				break
			}
			n, _ := r.next(data[at:], 0, true)
			at += n
			dst = append(dst, at)
		}
	}
	return dst
}
