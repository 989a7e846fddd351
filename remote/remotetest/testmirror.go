package remotetest

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

// TestMirror clones the store of w, then the clone, then that clone, with all generations, both
// forms of signatures, and tombstones. Each of the three must serve the same bytes as the
// publisher on every route that reads. open returns an empty store with that ID as Local and as
// the Backend that serves it.
func TestMirror(t *testing.T, w *World,
	open func(t *testing.T, id auth.StoreID) (remote.Local, server.Backend)) {
	publisher, err := w.Memory(t.Context(), Generations)
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []merkle.Hash{{1}, {2}} {
		s, err := auth.SignTombstone(t.Context(),
			auth.Tombstone{Store: w.Store, Root: root, NotAfter: 1_700_000_000,
				Reason: auth.Superseded}, w.Publisher)
		if err != nil {
			t.Fatal(err)
		}
		if err := publisher.Revoke(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	all := server.Rate{PerSecond: math.Inf(1)}
	serve := func(b server.Backend) http.Handler {
		return server.New(b,
			&server.Options{Limits: server.Limits{PerIP: all, PerIdentity: all, PerStore: all},
				Anonymous: true, DecoySecret: bytes.Repeat([]byte{7}, 32)})
	}
	first := serve(NewStores(nil, publisher))
	sync := remote.Sync{AllGenerations: true,
		Trust: remote.Trust{Publisher: w.Publisher.PublicKey(), AllowUnsignedHistory: true}}
	from := first
	for n := range 3 {
		local, backend := open(t, w.Store)
		report, err := sync.Clone(t.Context(), local, w.clientOf(t, from))
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Missing) != 0 || len(report.Installed) != Generations {
			t.Fatalf("clone %d: %+v", n, report)
		}
		from = serve(backend)
		for _, r := range w.reads() {
			want, got := r.of(first), r.of(from)
			if got != want {
				t.Errorf("clone %d: %s %s\n%s\nthe publisher answers\n%s", n, r.method, r.path,
					excerpt(got), excerpt(want))
			}
		}
	}
}

// A read is a request that changes nothing.
type read struct {
	method, path string
	header       [2]string
	body         string
}

// reads returns requests on every route that reads, for existing and missing objects.
func (w *World) reads() (all []read) {
	base := "/stores/" + w.Store.String()
	add := func(method, path string) *read {
		all = append(all, read{method: method, path: base + path})
		return &all[len(all)-1]
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		add(method, "")
		add(method, "/roots")
		add(method, "/module")
		add(method, "/module?root="+strings.Repeat("ab", 32))
	}
	ask := func(path, text string) {
		*add(http.MethodPost, path) = read{http.MethodPost, base + path,
			[2]string{"Content-Type", "application/json"}, text}
	}
	for i, head := range w.Heads {
		root := head.Root.String()
		add(http.MethodGet, "/module?root="+root)
		add(http.MethodHead, "/module?root="+root)
		add(http.MethodGet, "/module?root="+root).header = [2]string{"Range", "bytes=100-4199"}
		add(http.MethodGet, "/module?root="+root).header = [2]string{"If-None-Match", tag(head.Root)}
		add(http.MethodGet, "/module?root="+root).header = [2]string{"Accept", typeRecipe}
		for _, name := range []string{"index.html", "about.html", "media/clip-00.bin", "copies/one.bin",
			"sizes/zeros.bin", "missing.html"} {
			key := urn.RetrievalKey(w.Store, name)
			ask("/content", fmt.Sprintf(`{"retrieval_key":"%s","root":"%s"}`, key, root))
			ask("/content", fmt.Sprintf(`{"retrieval_key":"%s","root":"%s","range":{"start":10,"end":30}}`, key, root))
			ask("/proof", fmt.Sprintf(`{"retrieval_key":"%s","root":"%s"}`, key, root))
		}
		for _, other := range w.Heads[:i] {
			add(http.MethodGet, "/delta?from="+other.Root.String()+"&to="+root)
		}
		ask("/delta", fmt.Sprintf(`{"to":"%s","have":[]}`, root))
	}
	return all
}

// of returns the answer of a handler as one text: status, headers and body.
func (r read) of(h http.Handler) string {
	u, err := url.Parse("http://origin" + r.path)
	if err != nil {
		return err.Error()
	}
	req := &http.Request{Method: r.method, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(r.body)), ContentLength: int64(len(r.body)),
		RequestURI: r.path, RemoteAddr: "127.0.0.1:1"}
	req.Header.Set("User-Agent", "remotetest/1")
	if r.header[0] != "" {
		req.Header.Set(r.header[0], r.header[1])
	}
	answer := &keeper{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(answer, req)
	var b strings.Builder
	fmt.Fprintln(&b, answer.status)
	answer.header.Write(&b)
	b.WriteString("\n")
	b.Write(answer.body.Bytes())
	return b.String()
}

func excerpt(s string) string {
	if len(s) > 500 {
		return fmt.Sprintf("%q… (%d bytes)", s[:500], len(s))
	}
	return fmt.Sprintf("%q", s)
}
