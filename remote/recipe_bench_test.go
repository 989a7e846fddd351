package remote_test

import (
	"testing"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// BenchmarkPullDelta compares a pull of one generation with a twentieth of the files new to a
// clone.
func BenchmarkPullDelta(b *testing.B) {
	s, l, to := grown(b, 2000, 1, &server.Options{Limits: unlimited})
	size := s.recipe(1).Size()
	b.Run("pull", func(b *testing.B) {
		var m meter
		c := s.client(l, &remote.ClientOptions{Dial: m.dial})
		b.SetBytes(size)
		for b.Loop() {
			b.StopTimer()
			to = remotetest.NewMemory(s.id, nil)
			if err := s.memoryInto(to, 0); err != nil {
				b.Fatal(err)
			}
			m.bytes.Store(0)
			b.StartTimer()
			if _, err := remote.Pull(b.Context(), to, c, remote.Trust{FirstUse: true}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(m.bytes.Load())/float64(changed(s.recipe(0), s.recipe(1))), "wire/changed")
	})
	b.Run("clone", func(b *testing.B) {
		c := s.client(l, nil)
		b.SetBytes(size)
		for b.Loop() {
			if _, err := remote.Clone(b.Context(), remotetest.NewMemory(s.id, nil), c,
				remote.Trust{FirstUse: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPushDelta compares a push of such a generation with a push of the whole module.
func BenchmarkPushDelta(b *testing.B) {
	for name, wrap := range map[string]func(*remotetest.Memory) remote.Local{
		"recipe": func(m *remotetest.Memory) remote.Local { return m },
		"whole":  func(m *remotetest.Memory) remote.Local { return plainLocal{m} },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s, l, local := pushed(b, 1000)
				c := s.client(l, nil)
				b.SetBytes(s.recipe(1).Size())
				b.StartTimer()
				if _, err := (&remote.Pusher{Signer: s.publisher}).Push(b.Context(), c,
					wrap(local)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPackRecipe packs the recipe of 10,000 resources, one in a hundred of them new.
func BenchmarkPackRecipe(b *testing.B) {
	before := randomRecipe(b, 10_000, same)
	after := randomRecipe(b, 10_000, func(i int) (uint64, bool) {
		if i%100 == 3 {
			return 1, false
		}
		return 0, false
	})
	size := int64(len(encoded(b, after)))
	for name, base := range map[string]*module.Recipe{"alone": nil, "against": before} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.PackRecipe(after, base); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	packed, err := wire.PackRecipe(after, before)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("unpack", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.UnpackRecipe(packed, known(before)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
