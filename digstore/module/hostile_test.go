package module_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"

	"github.com/dig-network/digstore/digstore/module"
)

// Modules made to be expensive are not.
func TestHostileModules(t *testing.T) {
	ids := []section{{1, make([]byte, 32)}, {2, make([]byte, 32)}}
	blob := blobOf(append(slices.Clone(ids), section{8, make([]byte, 4)}, section{9, make([]byte, 4)},
		section{10, make([]byte, 4)})...)
	segment := slices.Concat([]byte{0, 0x41, 0x80, 0x80, 0x80, 0x01, 0x0b}, leb(len(blob)), blob)
	const many = 4_000
	body := slices.Concat(leb(many), bytes.Repeat(segment, many))
	tiny := binary.BigEndian.AppendUint32(nil, 40_000)
	for i := range uint32(40_000) {
		tiny = binary.BigEndian.AppendUint32(append(tiny, 0, 0, 0, 4), i)
	}
	for name, b := range map[string][]byte{
		"many blobs":      slices.Concat([]byte("\x00asm\x01\x00\x00\x00\x0b"), leb(len(body)), body),
		"many sections":   append(wasmOf(blob), bytes.Repeat([]byte{0, 1, 0}, 40_000)...),
		"many rows":       wasmOf(blobOf(slices.Concat(ids, slices.Repeat([]section{{7, nil}}, 60_000))...)),
		"many chunks":     wasmOf(blobOf(append(slices.Clone(ids), section{9, tiny})...)),
		"table of chunks": wasmOf(blobOf(append(slices.Clone(ids), section{8, slices.Concat([]byte{0, 0, 0, 1}, make([]byte, 64), []byte{0, 0x10, 0, 0}, make([]byte, 4<<20), make([]byte, 8))}, section{9, tiny})...)),
	} {
		if _, _, err := apart(t, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		m := open(t, b)
		if err := m.Verify(t.Context()); err == nil {
			t.Errorf("%s verifies", name)
		}
	}
}

// grown returns how many bytes f allocates.
func grown(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A zeros is an endless module.
type zeros struct{ head []byte }

func (z *zeros) Read(p []byte) (int, error) {
	n := copy(p, z.head)
	z.head = z.head[n:]
	clear(p[n:])
	return len(p), nil
}

// A length that nothing stands behind costs no memory, and headers without end
// are refused.
func TestTakeApartMemory(t *testing.T) {
	put := func(module.Chunk, []byte) error { return nil }
	huge := append(blobOf(section{1, make([]byte, 32)}, section{2, make([]byte, 32)}, section{8, nil}),
		make([]byte, 100)...)
	binary.BigEndian.PutUint32(huge[9+2*10+6:], 20<<20) // the length of section 8
	segment := slices.Concat([]byte{1, 0, 0x41, 0x80, 0x80, 0x80, 0x01, 0x0b}, leb(100<<20), huge)
	cut := slices.Concat([]byte("\x00asm\x01\x00\x00\x00\x0b"), leb(200<<20), segment)
	if n := grown(func() {
		if _, err := module.Decompose(t.Context(), bytes.NewReader(cut),
			put); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	}); n > 8<<20 {
		t.Errorf("%d bytes allocated for a module of %d", n, len(cut))
	}
	if _, err := module.Decompose(t.Context(), &zeros{[]byte("\x00asm\x01\x00\x00\x00")},
		put); !errors.Is(err, module.ErrFormat) {
		t.Error(err)
	}
}
