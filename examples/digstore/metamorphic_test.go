package main

import (
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/metamorphic"
	"github.com/dig-network/digstore/internal/vectors"
)

var (
	metamorphicSeed = flag.Uint64("metamorphic.seed", 0,
		"repeat the steps of this seed (0: a random one)")
	metamorphicTime = flag.Duration("metamorphic.time", 0,
		"run sequence after sequence for so long (0: a few seconds)")
	metamorphicSteps = flag.Int("metamorphic.steps", 40, "steps of a sequence")
)

// TestMetamorphic runs random sequences of commands, on two publishers, a host,
// a mirror and an archive, and compares what each of them holds with a model. A
// seed that fails is printed, and is repeated with
//
//	go test ./examples/digstore -run TestMetamorphic -metamorphic.seed SEED
func TestMetamorphic(t *testing.T) {
	span := *metamorphicTime
	if span == 0 {
		span = 3 * time.Second
		if vectors.Long(t) {
			span = time.Minute
		}
	}
	binary, err := exec.LookPath("digstore") // this program
	if err != nil {
		t.Fatal(err)
	}
	counts, runs := map[string]int{}, 0
	for end := time.Now().Add(span); runs == 0 || time.Now().Before(end); runs++ {
		seed, until := *metamorphicSeed, time.Time{}
		if seed == 0 {
			seed, until = rand.Uint64()>>1+1, end
		}
		dir, err := os.MkdirTemp("", "metamorphic-*")
		if err != nil {
			t.Fatal(err)
		}
		n, err := metamorphic.Run(t.Context(), metamorphic.Config{
			Binary: binary, Dir: dir, Seed: seed, Steps: *metamorphicSteps, Until: until,
		})
		for kind, c := range n {
			counts[kind] += c
		}
		if err != nil {
			t.Fatalf("%v\nrepeat it with: go test ./examples/digstore -run TestMetamorphic "+
				"-metamorphic.seed %d", err, seed)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%5d %s", counts[kind], kind)
	}
	t.Logf("%d sequences", runs)
}
