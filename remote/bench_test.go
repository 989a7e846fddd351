package remote_test

import (
	"context"
	"crypto/sha256"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// sink is a Local that decomposes and checks modules, and stores only a count.
type sink struct{ *remotetest.Memory }

func (s sink) Install(ctx context.Context, _ []module.Generation, _ auth.SignedRoot, r io.Reader,
	check func(*module.Module) error) error {
	_, err := module.Decompose(ctx, r, func(module.Chunk, []byte) error { return nil })
	return err
}

// unlimited disables the request limits.
var unlimited = func() server.Limits {
	all := server.Rate{PerSecond: math.Inf(1)}
	return server.Limits{PerIP: all, PerIdentity: all, PerStore: all}
}()

// BenchmarkFetch compares Clone with a plain GET that hashes the body, from the same listener: 32
// MiB of incompressible data, without writing.
func BenchmarkFetch(b *testing.B) {
	s := newSite(b, 0, &server.Options{Limits: unlimited})
	data := make([]byte, 32<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	head, err := s.memory.Publish(b.Context(), s.publisher, fstest.MapFS{"file": {Data: data}})
	if err != nil {
		b.Fatal(err)
	}
	l := s.listen()
	l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
		if tail != "/plain" {
			return false
		}
		body, err := s.memory.Module(r.Context(), head.Root)
		if err != nil {
			b.Error(err)
			return true
		}
		defer body.Close()
		body.(io.WriterTo).WriteTo(w)
		return true
	}
	size := int64(len(data))
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(size)
		buf := make([]byte, 256<<10)
		for b.Loop() {
			resp, err := http.Get(l.URL + "/plain")
			if err != nil {
				b.Fatal(err)
			}
			h := sha256.New()
			if _, err := io.CopyBuffer(h, resp.Body, buf); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
		http.DefaultClient.CloseIdleConnections()
	})
	c := s.client(l, nil)
	b.Run("module", func(b *testing.B) {
		b.SetBytes(size)
		buf := make([]byte, 256<<10)
		for b.Loop() {
			r, err := c.Module(b.Context(), head.Root)
			if err != nil {
				b.Fatal(err)
			}
			h := sha256.New()
			if _, err := io.CopyBuffer(h, r, buf); err != nil {
				b.Fatal(err)
			}
			r.Close()
		}
	})
	b.Run("clone", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := remote.Clone(b.Context(), sink{remotetest.NewMemory(s.id, nil)}, c,
				remote.Trust{FirstUse: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPullNothing measures a pull with nothing new: one signed request.
func BenchmarkPullNothing(b *testing.B) {
	s := newSite(b, 1, &server.Options{Limits: unlimited})
	c := s.client(s.listen(), nil)
	to := (&direct{Memory: s.memory}).empty()
	if _, err := remote.Clone(b.Context(), to, c, remote.Trust{FirstUse: true}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := remote.Pull(b.Context(), to, c, remote.Trust{}); err != nil {
			b.Fatal(err)
		}
	}
}
