package capsule

import (
	"errors"
	"fmt"
	"io"
)

// VerifyReader returns a reader of rc that checks the content against d: its size, its hash and,
// where d has one, its chunk root. The last bytes are returned only after all checks have
// passed, so that a caller who reads exactly d.Size bytes has verified content too. Earlier
// bytes are returned unchecked: they must not be used before a Read has returned the last byte
// or io.EOF. Errors wrap ErrContentMismatch, or are rc's. Close closes rc. It is for one
// goroutine.
func VerifyReader(rc io.ReadCloser, d Descriptor) io.ReadCloser {
	return &verifyReader{rc: rc, want: d, hash: NewHasher()}
}

type verifyReader struct {
	rc   io.ReadCloser
	want Descriptor
	hash *Hasher
	err  error // what every further Read returns
}

func (v *verifyReader) Close() error { return v.rc.Close() }

func (v *verifyReader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	left := uint64(v.want.Size) - v.hash.size
	if left == 0 { // an empty capsule
		v.err = v.finish()
		return 0, v.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := v.rc.Read(p[:min(uint64(len(p)), left)])
	v.hash.Write(p[:n]) // at most Size bytes in all: never too large
	if v.hash.size == uint64(v.want.Size) {
		if v.err = v.finish(); v.err != io.EOF {
			return 0, v.err
		}
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: capsule %d: found %d bytes, expected %d", ErrContentMismatch,
			v.want.Index, v.hash.size, v.want.Size)
	}
	v.err = err
	return n, err
}

// finish returns io.EOF when nothing follows and everything matches.
func (v *verifyReader) finish() error {
	switch n, err := io.ReadFull(v.rc, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("%w: capsule %d: found more than %d bytes", ErrContentMismatch,
			v.want.Index, v.want.Size)
	case err != io.EOF:
		return err
	}
	if err := v.want.Matches(v.hash.Descriptor(v.want.Index)); err != nil {
		return err
	}
	return io.EOF
}
