package module

import (
	"io"
	"iter"
)

// A Extent is bytes of a module that lie side by side in a ChunkSource, just as they are in the module.
type Extent struct {
	Offset, Length int64       // in the module
	Reader         io.ReaderAt // what the source gives
	At             int64       // where they begin there
}

// Extents yields, in the order of the module, the stretches of whole frames in src that are at least so many bytes
// long. Everything between them is to be had from the Image. It ends with the first error, if there is one. What
// lies in a stretch has not been read, so nothing was checked.
func (r *Recipe) Extents(src ChunkSource, least int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		var s Extent
		emit := func() bool { return s.Length < least || s.Length == 0 || yield(s, nil) }
		for _, p := range r.parts {
			if p.kind != partFrames {
				continue
			}
			for i := p.a; i < p.a+p.b; i++ {
				at, off, err := src.Chunk(r.chunks[i])
				if err != nil {
					if emit() {
						yield(Extent{}, err)
					}
					return
				}
				in, n := p.off+r.ends[i]-r.ends[p.a], r.ends[i+1]-r.ends[i]
				if s.Length > 0 && s.Offset+s.Length == in && s.At+s.Length == off && sameReader(s.Reader, at) {
					s.Length += n
					continue
				}
				if !emit() {
					return
				}
				s = Extent{Offset: in, Length: n, Reader: at, At: off}
			}
		}
		emit()
	}
}
