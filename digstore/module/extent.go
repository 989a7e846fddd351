package module

import (
	"io"
	"iter"
)

// An Extent is a part of a module that is contiguous in a ChunkSource, with the same bytes.
type Extent struct {
	Offset, Length int64       // in the module
	Reader         io.ReaderAt // of the source
	At             int64       // offset of the first byte in Reader
}

// Extents yields, in the order of the module, the extents of whole frames in src that have at least
// least bytes. Use the Image for what lies between them. It ends with the first error. The bytes of
// an extent are not read, so they are not checked.
func (r *Recipe) Extents(src ChunkSource, least int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		var s Extent
		emit := func() bool { return s.Length < least || s.Length == 0 || yield(s, nil) }
		for f, err := range r.frames(src) {
			if err != nil {
				if emit() {
					yield(Extent{}, err)
				}
				return
			}
			follows := s.Offset+s.Length == f.Offset && s.At+s.Length == f.At
			if s.Length > 0 && follows && sameReader(s.Reader, f.Reader) {
				s.Length += f.Length
				continue
			}
			if !emit() {
				return
			}
			s = f
		}
		emit()
	}
}

// frames yields the extent of each frame. It ends with the first error.
func (r *Recipe) frames(src ChunkSource) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		for _, p := range r.parts {
			if p.kind != partFrames {
				continue
			}
			for i := p.a; i < p.a+p.b; i++ {
				at, off, err := src.Chunk(r.chunks[i])
				f := Extent{Offset: p.off + r.ends[i] - r.ends[p.a], Length: r.ends[i+1] - r.ends[i],
					Reader: at, At: off}
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}
