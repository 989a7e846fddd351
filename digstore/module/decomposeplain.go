package module

import "bytes"

// keep appends bytes that must stay in the recipe.
func (t *decomposer) keep(p []byte) {
	t.settle()
	t.run = append(t.run, p...)
}

// pass appends bytes that may be passed to put.
func (t *decomposer) pass(p []byte) {
	t.bulk = append(t.bulk, p...)
	for len(t.bulk) >= spillSize && t.full() {
		t.keepRun()
		t.spill(t.bulk[:spillSize])
		t.bulk = append(t.bulk[:0], t.bulk[spillSize:]...)
	}
}

func (t *decomposer) full() bool { return t.kept+len(t.run)+len(t.bulk) > maxPlain }

// settle passes the bytes in bulk to put, or keeps them in the recipe.
func (t *decomposer) settle() {
	if len(t.bulk) >= minSpill && t.full() {
		t.keepRun()
		for len(t.bulk) > 0 {
			n := min(len(t.bulk), spillSize)
			t.spill(t.bulk[:n])
			t.bulk = t.bulk[n:]
		}
	} else {
		t.run = append(t.run, t.bulk...)
	}
	t.bulk = t.bulk[:0]
}

// flush makes events of all plain bytes so far.
func (t *decomposer) flush() {
	t.settle()
	t.keepRun()
}

func (t *decomposer) keepRun() {
	if len(t.run) > 0 {
		t.kept += len(t.run)
		t.event(event{kind: partPlain, plain: bytes.Clone(t.run)})
		t.run = t.run[:0]
	}
}

// spill passes plain bytes to put.
func (t *decomposer) spill(p []byte) {
	piece, err := t.pipe.get(len(p))
	if err != nil {
		return // the next frame, or the end, returns the error
	}
	copy(piece.data, p)
	t.event(event{kind: partBody, a: int64(t.pipe.sent)})
	t.pipe.send(piece, nil)
}
