package module

import "bytes"

// A walker computes the steps of the content hash for each chunk of a pool. It
// follows the rows while they use chunks in the order of the pool. It keeps copies
// of chunks that a later row, or a later place of a row, uses again, up to maxHeld
// bytes. A row that uses another earlier chunk is left to Verify.
type walker struct {
	t     *table // nil: there are no steps
	row   int
	at    uint32          // in refs
	again map[uint32]bool // chunks that are used again
	held  map[uint32][]byte
	room  int
}

// maxHeld is the number of bytes that a walker keeps. Few chunks are used again:
// mostly those of runs of zeros.
const maxHeld = 2 << 20

func newWalker(t *table) *walker {
	w := &walker{t: t, again: make(map[uint32]bool), held: make(map[uint32][]byte), room: maxHeld}
	if t == nil {
		return w
	}
	highest := uint32(0)
	for i := range t.keys {
		refs := t.refsOf(i)
		if len(refs) < 2 {
			continue
		}
		for j, ref := range refs {
			if ref < highest && (j == 0 || ref != refs[j-1]) {
				w.again[ref] = true
			}
			highest = max(highest, ref)
		}
	}
	return w
}

// steps appends the steps of chunk ref, whose bytes are data. It is called for all
// chunks in order.
func (w *walker) steps(steps []step, ref uint32, data []byte) []step {
	if w.t == nil {
		return nil
	}
	if w.again[ref] && len(data) <= w.room {
		w.held[ref] = bytes.Clone(data)
		w.room -= len(data)
	}
	for ; w.row < len(w.t.keys); w.row++ {
		start, end := w.t.starts[w.row], w.t.starts[w.row+1]
		w.at = max(w.at, start)
		if end-start < 2 {
			continue // the chunk's id is its leaf
		}
		for w.at < end {
			next := w.t.refs[w.at]
			if next > ref {
				return steps
			}
			s := step{row: stepWrite}
			if next < ref {
				if s.data = w.held[next]; s.data == nil {
					break
				}
			}
			steps = append(steps, s)
			w.at++
		}
		if w.at == end {
			steps = append(steps, step{row: w.row})
		} else if w.at > start {
			steps = append(steps, step{row: stepReset})
		}
	}
	return steps
}
