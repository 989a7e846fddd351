package module

// Offsets returns for each chunk of Pool the offset of its first body in the module. A chunk that
// the module does not contain has -1; only a malformed recipe has such a chunk.
func (r *Recipe) Offsets() []int64 {
	places := make([]int64, len(r.chunks))
	for i := range places {
		places[i] = -1
	}
	note := func(i, off int64) {
		if places[i] < 0 {
			places[i] = off
		}
	}
	for _, p := range r.parts {
		switch p.kind {
		case partFrames:
			for i := p.a; i < p.a+p.b; i++ {
				note(i, p.off+r.ends[i]-r.ends[p.a]+4)
			}
		case partBody:
			note(p.a, p.off)
		}
	}
	return places
}
