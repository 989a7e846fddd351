package plot_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

// tiny is a plot of two small capsules.
func tiny(t testing.TB) []byte {
	t.Helper()
	ds := newDatastore(t, 1, []byte("one"), bytes.Repeat([]byte("two "), 2000))
	return readFile(t, create(t, t.TempDir(), fast(), ds).Path)
}

// FuzzReader changes a plot at one place. Whatever is there, nothing panics,
// and what verifies in full is unchanged.
func FuzzReader(f *testing.F) {
	file := tiny(f)
	hash := merkle.Sum([]byte("one"))
	for _, at := range []int{0, 48, 52, 4096 + 0x48, 8192, 8192 + 0x54, 12288} {
		f.Add(uint32(at), []byte{0xff, 0xff, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(file)
		copy(b[int(at)%len(b):], patch)
		r, err := plot.NewReader(bytes.NewReader(b), int64(len(b)),
			&plot.ReadOptions{MaxRecords: int(at)%3 - 1})
		if err == nil {
			if rec, err := r.LookupHash(hash); err == nil {
				d, _ := r.Descriptor(rec)
				r.DatastoreProof(rec)
				if c, err := r.Capsule(d, plot.Fast); err == nil {
					io.Copy(io.Discard, c)
				}
				r.Find(t.Context(), hash, merkle.Hash{})
			}
			_, err = r.Verify(t.Context(), plot.Full, nil)
		}
		if same := bytes.Equal(b, file); same != (err == nil) {
			t.Errorf("unchanged: %t, verified: %v", same, err)
		}
		if s, err := plot.Salvage(t.Context(), bytes.NewReader(b), int64(len(b)), nil); err == nil {
			for _, x := range s.Extents {
				if r, err := s.Open(t.Context(), x.Descriptor); err == nil {
					io.Copy(io.Discard, r)
					r.Close()
				}
			}
		}
	})
}

// FuzzParts parses arbitrary bytes as each part of a plot.
func FuzzParts(f *testing.F) {
	b := tiny(f)
	for at := 0; at < len(b); at += 4096 {
		f.Add(b[at : at+4096])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 8192 {
			return
		}
		plot.ParseParts(append(b, make([]byte, 8192-len(b))...))
	})
}

// FuzzBlock decodes arbitrary bytes as blocks: into exactly the memory given,
// or not at all.
func FuzzBlock(f *testing.F) {
	f.Add([]byte{0x10, 'a'}, uint16(1), true)
	f.Add([]byte("\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00a"), uint16(1), false)
	f.Fuzz(func(t *testing.T, b []byte, size uint16, lz bool) {
		code := uint8(2)
		if lz {
			code = 1
		}
		dst := make([]byte, size, int(size)+64)
		guard := dst[size:cap(dst)]
		plot.DecodeBlock(dst, b, code)
		if !bytes.Equal(guard, make([]byte, 64)) {
			t.Error("decoding wrote behind its memory")
		}
	})
}

// FuzzStream decodes arbitrary streams under a limit.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00a"), false)
	f.Add([]byte("\x04\x22\x4d\x18\x60\x40\x82\x01\x00\x00\x80a\x00\x00\x00\x00"), true)
	f.Fuzz(func(t *testing.T, b []byte, lz bool) {
		c := plot.Zstd
		if lz {
			c = plot.LZ4
		}
		const limit = 1 << 16
		r, err := plot.NewStreamReader(bytes.NewReader(b), c, limit)
		if err != nil {
			return
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		if n > limit || err != nil && !errors.Is(err, plot.ErrLimit) &&
			!errors.Is(err, plot.ErrBlock) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}
