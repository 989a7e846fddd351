package plot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/plot"
)

// classes are the classes of errors by their names in the vectors.
var classes = map[string]error{
	"ErrIncomplete": plot.ErrIncomplete, "ErrMagic": plot.ErrMagic, "ErrVersion": plot.ErrVersion,
	"ErrHeader": plot.ErrHeader, "ErrTruncated": plot.ErrTruncated, "ErrFooter": plot.ErrFooter,
	"ErrTable": plot.ErrTable, "ErrIndex": plot.ErrIndex, "ErrExtent": plot.ErrExtent,
	"ErrBlock":           plot.ErrBlock,
	"ErrContentMismatch": plot.ErrContentMismatch,
}

// verify opens and verifies a plot in memory.
func verify(b []byte, l plot.Level) error {
	r, err := plot.NewReader(bytes.NewReader(b), int64(len(b)), nil)
	if err != nil {
		return err
	}
	_, err = r.Verify(context.Background(), l, nil)
	return err
}

// Every damaged copy of the golden plot is refused by its class of error.
func TestCorruptVectors(t *testing.T) {
	_, file := loadGolden(t)
	var cases struct {
		Cases []struct{ Check, Error, Mutate string }
	}
	vectors.Load(t, "plot-corrupt.json", &cases)
	for _, c := range cases.Cases {
		b := bytes.Clone(file)
		var at, to int
		var v byte
		switch {
		case strings.HasPrefix(c.Mutate, "truncate to file_size-"):
			fmt.Sscanf(c.Mutate, "truncate to file_size-%d", &at)
			b = b[:len(b)-at]
		case strings.HasPrefix(c.Mutate, "zero bytes"):
			fmt.Sscanf(c.Mutate, "zero bytes %d..%d", &at, &to)
			clear(b[at:to])
		case strings.HasPrefix(c.Mutate, "last byte"):
			b[len(b)-1] ^= 1
		case strings.Contains(c.Mutate, "^="):
			if _, err := fmt.Sscanf(c.Mutate, "byte %d ^= %d", &at, &v); err != nil {
				t.Fatalf("mutation %q: %v", c.Mutate, err)
			}
			b[at] ^= v
		default:
			if _, err := fmt.Sscanf(c.Mutate, "byte %d = %d", &at, &v); err != nil {
				t.Fatalf("mutation %q: %v", c.Mutate, err)
			}
			b[at] = v
		}
		name, _, _ := strings.Cut(c.Error, " ")
		want, ok := classes[name]
		if !ok {
			t.Fatalf("error %q has no class", c.Error)
		}
		level := plot.Quick
		if c.Check == "F" {
			level = plot.Full
			if err := verify(b, plot.Quick); err != nil {
				t.Errorf("%s: quick: %v", c.Mutate, err)
			}
		}
		if err := verify(b, level); !errors.Is(err, want) {
			t.Errorf("%s: error %v, expected %v", c.Mutate, err, want)
		}
	}
}

// small is a plot of some 30 pages: two datastores, equal capsules, an empty
// one, one of two blocks that compresses and one that does not.
func small(t testing.TB, c plot.Compression) []byte {
	t.Helper()
	tree := corpus.Small(4)
	a := newDatastore(t, 1, tree["sizes/1.bin"], tree["copies/three.txt"], tree["copies/four.txt"],
		[]byte{})
	b := newDatastore(t, 2, tree["sizes/zeros.bin"][:131_100], tree["sizes/16384.bin"][:5000])
	o := fast()
	o.Compression = c
	return readFile(t, create(t, t.TempDir(), o, a, b).Path)
}

// A byte changed anywhere is found by a full verification, by a class of error.
func TestFlips(t *testing.T) {
	part, parts := vectors.Part(t)
	step := 61
	if vectors.Long(t) {
		step = parts
		_, golden := loadGolden(t)
		flips(t, golden, part, step)
	}
	flips(t, small(t, plot.Zstd), part, step)
}

// flips changes every step-th byte from the first one on, on all cores.
func flips(t *testing.T, file []byte, first, step int) {
	t.Helper()
	check(t, verify(file, plot.Full))
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	var tried atomic.Int64
	for n := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			b := bytes.Clone(file)
			for at := first + n*step; at < len(b); at += workers * step {
				b[at] ^= 0x10
				err := verify(b, plot.Full)
				var bad *plot.FormatError
				if err == nil || !errors.As(err, &bad) {
					t.Errorf("byte %d of %d changed: %v", at, len(b), err)
				}
				b[at] ^= 0x10
				tried.Add(1)
			}
		}()
	}
	wg.Wait()
	t.Logf("%d of %d bytes changed", tried.Load(), len(file))
}

// A plot cut or extended to any other length is refused.
func TestTruncate(t *testing.T) {
	file := small(t, plot.LZ4)
	step := 977
	part, parts := vectors.Part(t)
	if vectors.Long(t) {
		step = parts
	}
	for n := part; n < len(file); n += step {
		err := verify(file[:n], plot.Quick)
		if !errors.Is(err, plot.ErrTruncated) && !errors.Is(err, plot.ErrIncomplete) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(file), err)
		}
	}
	for _, n := range []int{1, 4095, 4096, 8192} {
		if err := verify(append(bytes.Clone(file), make([]byte, n)...), plot.Quick); !errors.Is(err,
			plot.ErrTruncated) {
			t.Errorf("extended by %d bytes: %v", n, err)
		}
	}
}
