package cdc_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/dig-network/digstore/internal/cdc"
)

// The figure that counts is Cuts and Reader against PlainLoop, which is the
// loop of digstore/module/FORMAT.md 2.2, in one run:
//
//	go test -run '^$' -bench . -count 6 ./internal/cdc
const benchSize = 32 << 20

func BenchmarkPlainLoop(b *testing.B) {
	data := noise(1, benchSize)
	p := cdc.Params{Min: cdc.DefaultMin, Target: cdc.DefaultTarget, Max: cdc.DefaultMax}
	b.SetBytes(benchSize)
	for b.Loop() {
		for at := 0; at < len(data); {
			at = reference(data, at, p)
		}
	}
}

func BenchmarkCuts(b *testing.B) {
	data := noise(1, benchSize)
	var cuts []int
	b.SetBytes(benchSize)
	for b.Loop() {
		cuts = cdc.Cuts(data, cdc.Params{}, cuts[:0])
	}
}

func BenchmarkReader(b *testing.B) {
	data := noise(1, benchSize)
	r := cdc.NewReader(nil, cdc.Params{})
	b.SetBytes(benchSize)
	for b.Loop() {
		r.Reset(bytes.NewReader(data))
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkCutsParallel(b *testing.B) {
	data := noise(1, benchSize)
	var cuts []int
	b.SetBytes(benchSize)
	for b.Loop() {
		cuts = cdc.CutsParallel(data, cdc.Params{}, cuts[:0], 0)
	}
}
