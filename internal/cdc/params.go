package cdc

import (
	"fmt"
	"math/bits"
)

// The sizes in bytes that stores use. See digstore/module/FORMAT.md 2.2.
const (
	DefaultMin    = 16 << 10
	DefaultTarget = 64 << 10
	DefaultMax    = 256 << 10
)

// Params are the sizes of chunks in bytes. A field that is not positive has its default,
// so the zero value is what stores use. The rule of digstore/module/FORMAT.md 2.2
// defines the cuts for all values, also for those that Check refuses.
type Params struct {
	Min    int // least length of a chunk other than the last
	Target int // mean distance of a cut from Min; rounded down to a power of two
	Max    int // greatest length of a chunk
}

// Check returns an error for sizes that contradict each other.
func (p Params) Check() error {
	if p = p.filled(); p.Min > p.Max {
		return fmt.Errorf("chunk sizes: minimum %d is above maximum %d", p.Min, p.Max)
	}
	return nil
}

func (p Params) filled() Params {
	if p.Min <= 0 {
		p.Min = DefaultMin
	}
	if p.Target <= 0 {
		p.Target = DefaultTarget
	}
	if p.Max <= 0 {
		p.Max = DefaultMax
	}
	return p
}

// A rule is Params with the defaults filled in.
type rule struct {
	min, max int
	window   int    // number of bytes that the masked hash depends on
	mask     uint64 // 2^window - 1
}

func (p Params) rule() rule {
	p = p.filled()
	k := bits.Len(uint(p.Target)) - 1
	return rule{min: p.Min, max: p.Max, window: k, mask: 1<<k - 1}
}

// find returns the first cut at an offset from from to to, both included, or -1. from is
// 1 or more, to is at most len(chunk).
func (r rule) find(chunk []byte, from, to int) int {
	if from > to {
		return -1
	}
	t, mask := &table, r.mask
	var h uint64
	for _, b := range chunk[max(0, from-r.window):from] {
		h = h<<1 + t[b]
	}
	if h&mask == 0 {
		return from
	}
	i := from
	// For two bytes a and b, h*4 + (2*table[a]+table[b]) has one dependent operation on
	// h, not two.
	for ; to-i >= 8; i += 8 {
		p := (*[8]byte)(chunk[i:])
		g := t[p[0]]
		odd := h*2 + g
		h = h*4 + (g*2 + t[p[1]])
		if odd&mask == 0 {
			return i + 1
		}
		if h&mask == 0 {
			return i + 2
		}
		g = t[p[2]]
		odd = h*2 + g
		h = h*4 + (g*2 + t[p[3]])
		if odd&mask == 0 {
			return i + 3
		}
		if h&mask == 0 {
			return i + 4
		}
		g = t[p[4]]
		odd = h*2 + g
		h = h*4 + (g*2 + t[p[5]])
		if odd&mask == 0 {
			return i + 5
		}
		if h&mask == 0 {
			return i + 6
		}
		g = t[p[6]]
		odd = h*2 + g
		h = h*4 + (g*2 + t[p[7]])
		if odd&mask == 0 {
			return i + 7
		}
		if h&mask == 0 {
			return i + 8
		}
	}
	for ; i < to; i++ {
		if h = h<<1 + t[chunk[i]]; h&mask == 0 {
			return i + 1
		}
	}
	return -1
}

// next returns the length of the first chunk of data. The first seen offsets are known
// to be no cuts. If the length depends on what follows data, it returns 0 and the
// number of offsets that are known to be no cuts.
func (r rule) next(data []byte, seen int, atEOF bool) (n, none int) {
	if len(data) <= r.min {
		if atEOF {
			return len(data), 0
		}
		return 0, seen
	}
	to := min(r.max, len(data))
	if n := r.find(data, max(r.min, seen+1), to); n > 0 {
		return n, 0
	}
	if atEOF || to == r.max {
		return to, 0
	}
	return 0, to
}
