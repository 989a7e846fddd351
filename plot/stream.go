package plot

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxStreamWindow bounds the memory that a zstd stream may ask for.
const maxStreamWindow = 8 << 20

// NewStreamReader returns a reader of the content of src, which is a whole
// capsule compressed for the way between two nodes: as it is, as one LZ4 frame
// stream, or as one or more zstd frames. Content longer than limit bytes is
// ErrLimit, and what does not decode is ErrBlock. Memory stays below 24 MiB
// whatever src announces. The caller closes the result; it does not close src.
func NewStreamReader(src io.Reader, c Compression, limit int64) (io.ReadCloser, error) {
	s := &streamReader{left: limit}
	switch c {
	case None:
		s.src = src
	case LZ4:
		r := lz4.NewReader(src)
		if err := r.Apply(lz4.ConcurrencyOption(1)); err != nil {
			return nil, err
		}
		s.src, s.decodes = r, true
	case Zstd:
		d, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxStreamWindow))
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", ErrBlock, err)
		}
		s.src, s.decodes, s.close = d, true, d.Close
	default:
		return nil, fmt.Errorf("compression %q: expected none, lz4 or zstd", string(c))
	}
	return s, nil
}

type streamReader struct {
	src     io.Reader
	left    int64
	decodes bool
	close   func()
}

func (s *streamReader) Read(p []byte) (int, error) {
	// One byte more than is left is asked for, to find what is too long.
	n, err := s.src.Read(p[:min(int64(len(p)), s.left+1)])
	if int64(n) > s.left {
		n, s.left = int(s.left), 0
		return n, fmt.Errorf("compressed stream: %w", ErrLimit)
	}
	s.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) && s.decodes {
		err = fmt.Errorf("%w: %w", ErrBlock, err)
	}
	return n, err
}

func (s *streamReader) Close() error {
	if s.close != nil {
		s.close()
		s.close = nil
	}
	return nil
}
