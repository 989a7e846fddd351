package digstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
)

// benchSite is 1,000 files of 1 to 40 KiB in nested folders: a tenth of what internal/tools/mkdata
// makes.
func benchSite(b *testing.B) (files, int64) {
	content, size := files{}, int64(0)
	for i := range 1000 {
		text := noise(uint64(i), 1024+(i*7919)%(39*1024))
		content[fmt.Sprintf("d%d/e%d/%d.txt", i%7, i%31, i)] = text
		size += int64(len(text))
	}
	return content, size
}

func BenchmarkCommit(b *testing.B) {
	content, size := benchSite(b)
	s, root := site(b, content, nil)
	ctx := context.Background()
	b.Run("first", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			b.StopTimer()
			fresh, _ := site(b, nil, nil)
			check(b, fresh.SetContentRoot(ctx, root))
			b.StartTimer()
			_, err := fresh.Commit(ctx, nil, nil)
			check(b, err)
		}
	})
	_, err := s.Commit(ctx, nil, nil)
	check(b, err)
	b.Run("change", func(b *testing.B) {
		n := 0
		for b.Loop() {
			b.StopTimer()
			for range 10 {
				n++
				write(b, root,
					files{fmt.Sprintf("d%d/e%d/%d.txt", n%7, n%31, n%1000): noise(uint64(n+5000), 9000)})
			}
			b.StartTimer()
			_, err := s.Commit(ctx, nil, nil)
			check(b, err)
		}
	})
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Status(ctx)
			check(b, err)
		}
	})
}

// BenchmarkReopen opens a workspace of 200 generations and reads one resource.
func BenchmarkReopen(b *testing.B) {
	s, root := site(b, files{"a": "1"}, nil)
	for i := range 200 {
		write(b, root, files{"a": fmt.Sprint(i), fmt.Sprint("f", i%20): noise(uint64(i), 2000)})
		_, err := s.Commit(context.Background(), nil, nil)
		check(b, err)
	}
	for b.Loop() {
		w, err := digstore.Open(filepath.Dir(root), nil)
		check(b, err)
		s, err := w.Active()
		check(b, err)
		g, err := s.Latest()
		check(b, err)
		p, err := g.Resource("f7")
		check(b, err)
		_, err = io.Copy(io.Discard, p)
		check(b, err)
		check(b, w.Close())
	}
}

func BenchmarkCheckout(b *testing.B) {
	content, size := benchSite(b)
	s, _ := site(b, content, nil)
	r, err := s.Commit(context.Background(), nil, nil)
	check(b, err)
	dir := b.TempDir()
	b.SetBytes(size)
	n := 0
	for b.Loop() {
		n++
		_, err := r.Generation.Checkout(context.Background(), filepath.Join(dir, fmt.Sprint(n)), nil)
		check(b, err)
	}
}

// BenchmarkAssemble pulls a generation in which 10 of 1,000 files have changed: as recipe and
// chunks, and whole.
func BenchmarkAssemble(b *testing.B) {
	content, _ := benchSite(b)
	s, root := site(b, content, nil)
	must(s.Commit(ctx, nil, nil))
	for n := range 10 {
		write(b, root,
			files{fmt.Sprintf("d%d/e%d/%d.txt", n%7, n%31, n%1000): noise(uint64(n+5000), 9000)})
	}
	must(s.Commit(ctx, nil, nil))
	gens := must(s.Generations(ctx))
	first, second := moduleOf(b, s, gens[0].Root), moduleOf(b, s, gens[1].Root)
	recipe, chunks := takenApart(second)
	fresh := func() *digstore.Store {
		w := must(digstore.Init(b.TempDir(), nil))
		b.Cleanup(func() { w.Close() })
		to := must(w.Create(ctx, s.ID(), nil))
		check(b, to.Install(ctx, gens[:1], auth.SignedRoot{}, bytes.NewReader(first), deep))
		return to
	}
	b.Run("recipe", func(b *testing.B) {
		b.SetBytes(int64(len(second)))
		for b.Loop() {
			b.StopTimer()
			to := fresh()
			b.StartTimer()
			lacking := must(to.MissingChunks(ctx, recipe))
			check(b, to.Assemble(ctx, gens[1:], auth.SignedRoot{},
				module.Assembly{Recipe: recipe, Base: gens[0].Root, Fetch: putting(recipe, chunks, lacking)},
				deep))
		}
	})
	b.Run("whole", func(b *testing.B) {
		b.SetBytes(int64(len(second)))
		for b.Loop() {
			b.StopTimer()
			to := fresh()
			b.StartTimer()
			check(b, to.Install(ctx, gens[1:], auth.SignedRoot{}, bytes.NewReader(second), deep))
		}
	})
}
