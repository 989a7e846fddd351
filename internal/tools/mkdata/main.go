// Mkdata writes the data that the project's figures are measured on. The same
// call always writes the same bytes.
//
//	mkdata DIR         DIR/D1, DIR/D2 and DIR/D3
//	mkdata -edit TREE  turn TREE, a copy of D1, into D3 in place
//
// D1 is 10,000 text files of int(1024 × 40^u) bytes with u uniform in [0,1),
// about 108 MB, in nested folders. D2 is one file of 119,500,000 random bytes.
// D3 is D1 with 1 % of its files edited, added or removed. Give absolute
// paths: go run -C changes the folder.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	files    = 10_000
	bigBytes = 119_500_000
	edited   = 60 // of the 100 files that differ between D1 and D3
	added    = 20
	removed  = 20
)

func main() {
	edit := flag.Bool("edit", false, "turn the folder, a copy of D1, into D3 in place")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: mkdata [-edit] DIR")
		os.Exit(2)
	}
	dir := flag.Arg(0)
	run := func() error { return all(dir) }
	if *edit {
		run = func() error { return change(dir) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mkdata:", err)
		os.Exit(1)
	}
}

func all(dir string) error {
	for _, name := range []string{"D1", "D3"} {
		if err := tree(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := change(filepath.Join(dir, "D3")); err != nil {
		return err
	}
	return big(filepath.Join(dir, "D2", "big.bin"))
}

// tree writes D1 at dir.
func tree(dir string) error {
	sizes := rand.New(rand.NewPCG(1, 1))
	for i := range files {
		size := int(1024 * math.Pow(40, sizes.Float64()))
		if err := text(filepath.Join(dir, name(i)), size, uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

// change turns a copy of D1 into D3: the files that differ are spread evenly.
func change(dir string) error {
	step := files / (edited + removed)
	for n := range edited + removed {
		path := filepath.Join(dir, name(n*step))
		if n%4 == 3 {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := text(path, int(info.Size())+n, uint64(1_000_000+n)); err != nil {
			return err
		}
	}
	for n := range added {
		path := filepath.Join(dir, fmt.Sprintf("new/part-%d/added-%02d.txt", n%4, n))
		if err := text(path, 4096+n*777, uint64(2_000_000+n)); err != nil {
			return err
		}
	}
	return nil
}

// name nests the files three folders deep, with some non-ASCII names.
func name(i int) string {
	kind := [...]string{"notes", "källor", "src", "文書"}[i%4]
	return fmt.Sprintf("%s/%02d/%02d/file-%05d.txt", kind, i/4%25, i/100%20, i)
}

var words = [...]string{
	"store", "root", "chunk", "leaf", "module", "seal", "proof", "origin", "generation", "key",
	"a", "the", "of", "and", "is", "under", "with", "every", "byte", "from",
}

// text writes size bytes of words in lines, the same for the same seed.
func text(path string, size int, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 7))
	body := make([]byte, 0, size+16)
	for line := 0; len(body) < size; line++ {
		if line%9 == 8 {
			body = append(body, '\n')
			continue
		}
		body = append(body, words[rnd.IntN(len(words))]...)
		body = fmt.Appendf(body, "%d ", rnd.IntN(1000))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, body[:size], 0o666)
}

// big writes D2.
func big(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, rand.NewChaCha8([32]byte{2}), bigBytes); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
