package plot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/plot"
)

// Every block of the vectors decodes to its content, as a block of an extent.
func TestCompressionVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Compression uint8
			Content     string
			Sum         vectors.Hex `json:"content_sha256"`
			Stored      vectors.Hex `json:"stored_hex"`
			Raw         bool
			Size        int
			CRC         string `json:"crc32c"`
		}
	}
	vectors.Load(t, "plot-compression.json", &file)
	for i, c := range file.Cases {
		if len(c.Stored) == 0 {
			continue // a fact about a whole plot, or a raw block
		}
		got := make([]byte, c.Size)
		err := plot.DecodeBlock(got, c.Stored, c.Compression)
		if sum := sha256.Sum256(got); err != nil || !bytes.Equal(sum[:], c.Sum) {
			t.Errorf("case %d (%s): %v", i, c.Content, err)
		}
		for _, size := range []int{0, c.Size - 1, c.Size + 1} {
			if plot.DecodeBlock(make([]byte, size), c.Stored, c.Compression) == nil {
				t.Errorf("case %d (%s) decodes to %d bytes", i, c.Content, size)
			}
		}
	}
}

// Hostile frames are refused within bounds of memory.
func TestFrames(t *testing.T) {
	const limit = 16 << 20
	var file struct {
		Cases []struct {
			File    string
			Verdict string
			Bytes   int
			Decodes *int64 `json:"decodes_to_bytes"`
		}
	}
	vectors.Load(t, "frames/index.json", &file)
	for _, c := range file.Cases {
		t.Run(c.File, func(t *testing.T) {
			b := readFile(t, filepath.Join(vectors.Dir(t), "frames", c.File))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var n int64
			var err error
			switch filepath.Ext(c.File) {
			case ".lz4b":
				out := make([]byte, 1<<20)
				if c.Decodes != nil {
					out = out[:*c.Decodes]
				}
				if err = plot.DecodeBlock(out, b, 1); err == nil {
					n = int64(len(out))
				}
			default:
				kind := plot.Zstd
				if filepath.Ext(c.File) == ".lz4" {
					kind = plot.LZ4
				}
				var r io.ReadCloser
				if r, err = plot.NewStreamReader(bytes.NewReader(b), kind, limit); err == nil {
					n, err = io.Copy(io.Discard, r)
					r.Close()
				}
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > limit+24<<20 {
				t.Errorf("allocated %d bytes", grown)
			}
			switch {
			case strings.Contains(c.Verdict, "decodes it"):
				// A fault of the decoder: the hash of the content finds it.
			case strings.HasPrefix(c.Verdict, "refuse"):
				if err == nil {
					t.Errorf("decoded to %d bytes, expected an error", n)
				} else if !errors.Is(err, plot.ErrLimit) && !errors.Is(err, plot.ErrBlock) &&
					filepath.Ext(c.File) != ".lz4b" {
					t.Errorf("error %v of no class", err)
				}
			case strings.HasPrefix(c.Verdict, "accept-or"):
			case err != nil || c.Decodes != nil && n != *c.Decodes:
				t.Errorf("%s: %d bytes, %v", c.Verdict, n, err)
			}
		})
	}
}

// A frame may not want a window larger than a block.
func TestZstdWindow(t *testing.T) {
	out := make([]byte, capsule.BlockSize)
	for log2, want := range map[byte]bool{17: true, 18: false} {
		frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x80, (log2 - 10) << 3} // with a size of 4 bytes
		frame = binary.LittleEndian.AppendUint32(frame, uint32(len(out)))
		block := uint32(len(out))<<3 | 1<<1 | 1 // the last one, one byte repeated
		frame = append(frame, byte(block), byte(block>>8), byte(block>>16), 'x')
		if err := plot.DecodeBlock(out, frame, 2); (err == nil) != want {
			t.Errorf("window of 2^%d bytes: %v", log2, err)
		}
	}
}
