package request_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
)

func BenchmarkSign(b *testing.B) {
	k, r := auth.NewKey(seed(1)), get(b)
	for b.Loop() {
		if err := request.Sign(r, request.Fetch, auth.StoreID{}, k); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheck checks one request again and again, with a nonce store that forgets.
func BenchmarkCheck(b *testing.B) {
	now := time.Unix(1700000000, 0)
	guard := &request.Guard{Now: clock(now), Nonces: store{}}
	r := get(b)
	r.Header = sign(b, request.Fetch, auth.StoreID{}, auth.NewKey(seed(1)), now, seed(1))
	for b.Loop() {
		if _, err := guard.Check(r, request.Fetch, auth.StoreID{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckMalformed is what a request costs that is refused before its signature is looked at.
func BenchmarkCheckMalformed(b *testing.B) {
	now := time.Unix(1700000000, 0)
	guard := &request.Guard{Now: clock(now)}
	r := get(b)
	r.Header = sign(b, request.Fetch, auth.StoreID{}, auth.NewKey(seed(1)), now, seed(1))
	r.Header.Set(request.HeaderAuth, "00")
	for b.Loop() {
		if _, err := guard.Check(r, request.Fetch, auth.StoreID{}); err == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkNonces fills the memory with 1,000 nonces a second.
func BenchmarkNonces(b *testing.B) {
	b.ReportAllocs()
	nonces, ctx := request.NewNonces(nil), b.Context()
	var n request.Nonce
	i, now := uint64(0), time.Unix(1700000000, 0)
	for b.Loop() {
		if i++; i%1000 == 0 {
			now = now.Add(time.Second)
		}
		binary.BigEndian.PutUint64(n.Value[:], i)
		n.Identity[0] = byte(i)
		n.At, n.Until = now, now.Add(301*time.Second)
		if err := nonces.Use(ctx, n, now); err != nil {
			b.Fatal(err)
		}
	}
}
