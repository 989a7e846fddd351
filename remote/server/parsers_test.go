package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/dig-network/digstore/remote/internal/wire"
)

func FuzzAccept(f *testing.F) {
	for _, s := range []string{"", "*/*", "application/json", "text/plain;q=0.3, application/*;q=0.5",
		"a/b;q=2", ";;,,//", "application/json;q=NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		json, text := quality(accept, "application", "json"), quality(accept, "text", "plain")
		if !(json >= 0 && json <= 1 && text >= 0 && text <= 1) {
			t.Fatalf("weights %v and %v", json, text)
		}
		if got := wantsJSON(http.Header{"Accept": {accept}}); got != (json > text) {
			t.Fatalf("JSON: %v", got)
		}
	})
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, 10.0.0.2")
	f.Add("[::ffff:10.0.0.1%x]:1", "fe80::1%eth0, ::1,,")
	f.Add("@", "x")
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		a := clientAddr(r, proxies)
		if a.Zone() != "" || a.Is4In6() {
			t.Fatalf("%v has more than one name", a)
		}
		if alone := clientAddr(r, nil); !among(alone, proxies) && peer != "" &&
			alone != a && alone.Is4() {
			t.Fatalf("a stranger at %v is counted as %v", alone, a)
		}
	})
}

func FuzzInitBody(f *testing.F) {
	f.Add([]byte(`{"parent_root":"","new_root":"` + wire.ETag([32]byte{1})[1:65] + `","program_hash":"","size_bytes":1,"store_pubkey":""}`))
	f.Add([]byte(`{"new_root":"zz","size_bytes":-1}`))
	f.Add([]byte(`{"size_bytes":1e400}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p := new(push)
		err := p.readInit(text)
		decl := p.decl
		if err != nil {
			if !p.root.IsZero() || decl.size != 0 {
				t.Fatal("refused, and taken over all the same")
			}
			return
		}
		if p.root.IsZero() || decl.size < 0 || decl.parent != p.parent {
			t.Fatalf("%+v, %+v", p, decl)
		}
	})
}

func FuzzTombstoneBody(f *testing.F) {
	f.Add([]byte(`{"record":"00","signature":"00"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var b wire.TombstoneBody
		if json.Unmarshal(text, &b) != nil {
			return
		}
		tomb, err := parseTombstone(b)
		if err != nil {
			return
		}
		again, err := wire.EncodeTombstone(tomb)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseTombstone(again); err != nil || back != tomb {
			t.Fatalf("%v and %v, %v", tomb, back, err)
		}
	})
}
