package corpus

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// An Edit is a kind of change between two generations.
type Edit struct {
	Name  string
	apply func(t Tree, r *rand.Rand)
}

// Apply returns a changed copy of t, which it leaves as it is. The same seed
// makes the same change. The copy always differs from t, if t has a file that
// is not empty.
func (e Edit) Apply(t Tree, seed uint64) Tree {
	out := t.Clone()
	e.apply(out, generator(seed, "edit "+e.Name))
	return out
}

// Edits returns every kind of change. The last one makes all others at once.
func Edits() []Edit {
	list := []Edit{
		{"one byte", oneByte},
		{"one byte in every large file", everyLarge(func(b []byte, r *rand.Rand) []byte {
			out := slices.Clone(b)
			out[r.IntN(len(out))] ^= 0x20
			return out
		})},
		{"new content in every large file", everyLarge(func(b []byte, r *rand.Rand) []byte {
			return noise(r, len(b))
		})},
		{"insertion at the front", everyLarge(func(b []byte, r *rand.Rand) []byte {
			return append(noise(r, 1+r.IntN(5_000)), b...)
		})},
		{"growth at the end", everyLarge(func(b []byte, r *rand.Rand) []byte {
			return append(slices.Clone(b), noise(r, 1+r.IntN(200_000))...)
		})},
		{"truncation", everyLarge(func(b []byte, r *rand.Rand) []byte {
			return b[:len(b)/2+r.IntN(len(b)/4)]
		})},
		{"swap", swap},
		{"delete", remove},
		{"rename", rename},
		{"add", add},
		{"empty", empty},
	}
	each := slices.Clone(list)
	return append(list, Edit{"all at once", func(t Tree, r *rand.Rand) {
		for _, e := range each {
			e.apply(t, r)
		}
	}})
}

// RandomEdit returns a copy with one to three kinds of change.
func RandomEdit(t Tree, seed uint64) Tree {
	r := generator(seed, "random edit")
	list := Edits()
	for range 1 + r.IntN(3) {
		t = list[r.IntN(len(list)-1)].Apply(t, r.Uint64())
	}
	return t
}

// multiChunk is the least length of a file that is cut into several chunks.
const multiChunk = 150_000

// choose returns the names of files of at least size bytes, in random order.
func choose(t Tree, r *rand.Rand, size int) []string {
	names := slices.DeleteFunc(t.Names(), func(name string) bool { return len(t[name]) < size })
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

func oneByte(t Tree, r *rand.Rand) {
	for _, name := range choose(t, r, 1) {
		b := slices.Clone(t[name])
		b[r.IntN(len(b))] ^= 1
		t[name] = b
		return
	}
}

func everyLarge(change func(b []byte, r *rand.Rand) []byte) func(Tree, *rand.Rand) {
	return func(t Tree, r *rand.Rand) {
		for _, name := range choose(t, r, multiChunk) {
			t[name] = change(t[name], r)
		}
	}
}

// swap exchanges the contents of pairs of files of different content.
func swap(t Tree, r *rand.Rand) {
	for _, size := range []int{multiChunk, 1} {
		names := choose(t, r, size)
		for i := 1; i < len(names); i++ {
			if string(t[names[0]]) != string(t[names[i]]) {
				t[names[0]], t[names[i]] = t[names[i]], t[names[0]]
				break
			}
		}
	}
}

func remove(t Tree, r *rand.Rand) {
	names := choose(t, r, 0)
	for _, name := range names[:len(names)/4] {
		delete(t, name)
	}
}

func rename(t Tree, r *rand.Rand) {
	for i, name := range choose(t, r, 0) {
		if i > 4 {
			return
		}
		to := fmt.Sprintf("renamed/%08x", r.Uint32())
		t[to] = t[name]
		delete(t, name)
	}
}

func add(t Tree, r *rand.Rand) {
	for range 3 {
		t[fmt.Sprintf("added/%08x.bin", r.Uint32())] = noise(r, multiChunk+r.IntN(multiChunk))
		t[fmt.Sprintf("added/%08x.txt", r.Uint32())] = prose(r, r.IntN(500))
	}
}

func empty(t Tree, r *rand.Rand) {
	for i, name := range choose(t, r, 1) {
		if i > 2 {
			return
		}
		t[name] = []byte{}
	}
}
