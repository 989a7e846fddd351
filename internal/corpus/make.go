package corpus

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Small returns about 60 files with 2 MiB: eight files of several chunks, the
// rest tiny.
func Small(seed uint64) Tree { return build(seed, 8, 150_000, 400_000, 30) }

// Large returns about 3,000 files with 24 MiB: sixteen files of 150 kB to
// 3 MB, the rest tiny.
func Large(seed uint64) Tree { return build(seed, 16, 150_000, 3_000_000, 2_950) }

func generator(seed uint64, purpose string) *rand.Rand {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	copy(key[8:], purpose)
	return rand.New(rand.NewChaCha8(key))
}

func build(seed uint64, large, low, high, tiny int) Tree {
	r := generator(seed, "tree")
	t := Tree{}
	for i := range large {
		// The sizes run from low to high, so that every run has both.
		n := low + (high-low)*i/max(large-1, 1)
		name := fmt.Sprintf("media/clip-%02d.bin", i)
		b := noise(r, n)
		if i%3 == 1 {
			name = fmt.Sprintf("text/book-%02d.txt", i)
			b = prose(r, n)
		}
		t[name] = b
	}
	for i := range tiny {
		t[fmt.Sprintf("pages/%02d/page-%04d.html", i%17, i)] = prose(r, r.IntN(900))
	}
	// The same bytes under two names, small and large.
	t["copies/one.bin"] = t["media/clip-02.bin"]
	t["copies/two.bin"] = t["media/clip-02.bin"]
	t["copies/three.txt"] = []byte("equal\n")
	t["copies/four.txt"] = []byte("equal\n")
	// Contents at limits: empty, one byte, one chunk at its least, target and
	// greatest length and one byte to either side.
	t["sizes/empty"] = []byte{}
	t["sizes/also-empty"] = []byte{}
	for _, n := range []int{1, 16<<10 - 1, 16 << 10, 64<<10 + 1, 256 << 10, 256<<10 + 1} {
		t[fmt.Sprintf("sizes/%d.bin", n)] = noise(r, n)
	}
	// One byte repeated never meets a cut by content.
	t["sizes/zeros.bin"] = make([]byte, 300_000)
	for _, name := range names() {
		t[name] = prose(r, r.IntN(200))
	}
	return t
}

// names returns names that are permitted and awkward. They are distinct also
// on file systems that ignore case or normalise Unicode.
func names() []string {
	deep := strings.Repeat("d/", 40) + "leaf.txt"
	return []string{
		"index.html",
		".hidden",
		"no-extension",
		"spaces in the name.txt",
		"ünï-cödé/日本語/файл.txt",
		"emoji/😀.txt",
		"quotes/it's.txt",
		"percent/100%25.txt",
		"plus/a+b&c=d#e.txt",
		"long/" + strings.Repeat("n", 200) + ".txt",
		"long/" + strings.Repeat("n", 200) + ".html",
		"long/" + strings.Repeat("x", 255),
		deep,
	}
}

// noise returns bytes that do not compress.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; {
		v := r.Uint64()
		for range min(8, n-i) {
			b[i] = byte(v)
			v >>= 8
			i++
		}
	}
	return b
}

var words = strings.Fields(`the store grows by generations a host keeps sealed bytes and every reader
	checks each of them against a root that its publisher has signed chunk leaf proof key name`)

// prose returns text that compresses.
func prose(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, words[r.IntN(len(words))]...)
		b = append(b, " \n"[r.IntN(8)/7])
	}
	return b[:n]
}
