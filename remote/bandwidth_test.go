package remote_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/bandwidth"
)

// The limit applies per direction to all connections together.
func TestBandwidth(t *testing.T) {
	const n = 1 << 20
	for _, c := range []struct {
		name     string
		down, up int64
		conns    int
		receive  bool
		want     time.Duration
	}{
		{name: "received", down: n / 10, conns: 1, receive: true, want: 10 * time.Second},
		{name: "sent", up: n / 10, conns: 1, want: 10 * time.Second},
		{name: "received by four", down: n / 10, conns: 4, receive: true, want: 40 * time.Second},
		{name: "very slow", down: 1024, conns: 1, receive: true, want: 1024 * time.Second},
		{name: "only sending is bounded", up: 1, conns: 1, receive: true},
		{name: "not bounded", conns: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bandwidth.New(c.down, c.up)
				begin := time.Now()
				var wg sync.WaitGroup
				for range c.conns {
					near, far := net.Pipe()
					from, to := net.Conn(near), b.Conn(far)
					if !c.receive {
						from, to = to, from
					}
					wg.Go(func() {
						defer from.Close()
						if m, err := from.Write(make([]byte, n)); m != n || err != nil {
							t.Errorf("%d bytes written, %v", m, err)
						}
					})
					wg.Go(func() {
						if m, err := io.Copy(io.Discard, to); m != n || err != nil {
							t.Errorf("%d bytes read, %v", m, err)
						}
					})
				}
				wg.Wait()
				if got := time.Since(begin); got > c.want || got < c.want-c.want/10 {
					t.Errorf("it took %v, want about %v", got, c.want)
				}
			})
		})
	}
}

// Close ends the wait of a connection.
func TestBandwidthClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		go io.Copy(io.Discard, near)
		c := bandwidth.New(0, 1).Conn(far)
		time.AfterFunc(time.Second, func() { c.Close() })
		begin := time.Now()
		if _, err := c.Write(make([]byte, 10_000)); !errors.Is(err, net.ErrClosed) ||
			time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// Clients with the same Bandwidth share its limit.
func TestBandwidthOfClients(t *testing.T) {
	body := make([]byte, 100_000)
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+merkle.Hash{1}.String()+`"`)
		w.Write(body)
	}, remote.ClientOptions{Bandwidth: bandwidth.New(20_000, 0)},
		func(t *testing.T, c *remote.Client) {
			begin := time.Now()
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					r, err := c.Module(t.Context(), merkle.Hash{1})
					if err != nil {
						t.Error(err)
						return
					}
					defer r.Close()
					if n, err := io.Copy(io.Discard, r); n != int64(len(body)) || err != nil {
						t.Errorf("%d bytes, %v", n, err)
					}
				})
			}
			wg.Wait()
			if got := time.Since(begin); got < 9*time.Second || got > 11*time.Second {
				t.Errorf("it took %v", got)
			}
		})
}
