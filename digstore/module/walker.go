package module

import "bytes"

// A walker says what each chunk of a pool means for the hashes of the content of
// resources, as the chunks come by. It follows the rows as long as they name
// chunks in the order of the pool. For those that a row comes back to it keeps
// copies, as far as they fit; a row that comes back to another is given up, and
// is for Verify to read again.
type walker struct {
	t     *table // nil: nothing is known
	row   int
	at    uint32          // in refs
	again map[uint32]bool // chunks that some row comes back to
	held  map[uint32][]byte
	room  int
}

// maxHeld is how many bytes a walker keeps. Content that comes back to chunks
// comes back to few: runs of zeros.
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

// steps appends what is to be done with chunk number ref, called for 0, 1, 2, …
// with its bytes.
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
