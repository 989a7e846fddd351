package server_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

var asJSON = set("Content-Type", "application/json")

// tombstone returns the body of a revocation.
func (s *site) tombstone(t auth.Tombstone, by *auth.Key) string {
	s.t.Helper()
	t, err := auth.SignTombstone(s.t.Context(), t, by)
	if err != nil {
		s.t.Fatal(err)
	}
	record, err := t.MarshalBinary()
	if err != nil {
		s.t.Fatal(err)
	}
	return tombstoneBody(hex.EncodeToString(record), t.Sig.String())
}

func tombstoneBody(record, sig string) string {
	return `{"record":"` + record + `","signature":"` + sig + `"}`
}

func TestTombstone(t *testing.T) {
	s := newSite(t, 2, &server.Options{MaxTombstones: 2})
	root := s.heads[0].Root
	at := auth.Tombstone{Store: s.id, Root: root, NotAfter: 1_700_000_000, Reason: auth.Compromise}
	good := s.tombstone(at, s.publisher)
	record := strings.Split(good, `"`)[3]
	sig := strings.Split(good, `"`)[7]
	for _, tc := range []struct {
		name, body string
		hs         []header
		status     int
		text       string
	}{
		{"no content type", good, nil, 415, "unsupported media type: send application/json"},
		{"form", good, []header{set("Content-Type", "application/x-www-form-urlencoded")}, 415, "unsupported media type: send application/json"},
		{"syntax", "{", []header{asJSON}, 400, "bad request: body is not JSON"},
		{"shape", `{"record":7}`, []header{asJSON}, 422, invalid + "body is not a tombstone"},
		{"too large", strings.Repeat(" ", 3<<20), []header{asJSON}, 413, "body too large: over 2097152 bytes"},
		{"record hex", tombstoneBody("xy", sig), []header{asJSON}, 422, invalid + "bad tombstone record hex"},
		{"record cut", tombstoneBody(record[:20], sig), []header{asJSON}, 422, invalid + "malformed tombstone record"},
		{"record and more", tombstoneBody(record+"00", sig), []header{asJSON}, 422, invalid + "malformed tombstone record"},
		{"signature hex", tombstoneBody(record, "xy"), []header{asJSON}, 422, invalid + "bad tombstone sig hex"},
		{"signature cut", tombstoneBody(record, sig[2:]), []header{asJSON}, 422, invalid + "tombstone sig must be 96 bytes"},
		{"another store", s.tombstone(auth.Tombstone{Store: auth.StoreID{1}}, s.publisher), []header{asJSON}, 422, invalid + "tombstone store_id does not match path"},
		{"another key", s.tombstone(at, key(0x11)), []header{asJSON}, 403, "push not authorized: tombstone signature does not verify"},
		{"good", good, []header{asJSON}, 201, ""},
		{"again", good, []header{set("Content-Type", "application/json; charset=utf-8")}, 201, ""},
		{"in advance", s.tombstone(auth.Tombstone{Store: s.id, Root: merkle.Hash{5}}, s.publisher), []header{asJSON}, 201, ""},
		{"one too many", s.tombstone(auth.Tombstone{Store: s.id, Root: merkle.Hash{6}}, s.publisher), []header{asJSON}, 422, invalid + "too many tombstones"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want(t, s.do("POST", s.path("/tombstone"), strings.NewReader(tc.body), tc.hs...),
				tc.status, tc.text)
		})
	}
	var d struct {
		Tombstones []struct{ Record, Signature string }
	}
	if err := json.NewDecoder(s.do("GET", s.path(""), nil).Body).Decode(&d); err != nil {
		t.Fatal(err)
	}
	if len(d.Tombstones) != 2 || d.Tombstones[0].Record != record || d.Tombstones[0].Signature != sig {
		t.Errorf("descriptor has %+v", d.Tombstones)
	}
	want(t, s.do("POST", "/stores/"+strings.Repeat("ab", 32)+"/tombstone", strings.NewReader(good),
		asJSON), 404, "unknown store")
}

func TestPushOfWhatIsRevoked(t *testing.T) {
	s := newSite(t, 1, nil)
	mod, head := s.next()
	want(t,
		s.do("POST", s.path("/tombstone"),
			strings.NewReader(s.tombstone(auth.Tombstone{Store: s.id, Root: head.Root}, s.publisher)),
			asJSON), 201, "")
	want(t, s.put(head, s.head().Root, mod), 403, "push not authorized: revoked")

	mod, head = s.build(s.id, s.publisher, 2)
	want(t, s.do("POST", s.path("/tombstone"),
		strings.NewReader(s.tombstone(auth.Tombstone{Store: s.id}, s.publisher)), asJSON), 201, "")
	want(t, s.put(head, s.head().Root, mod), 403, "push not authorized: revoked")
	want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0])) // clients enforce it
}

func TestTombstoneForAStoreWithoutGenerations(t *testing.T) {
	s := newSite(t, 0, nil)
	body := s.tombstone(auth.Tombstone{Store: s.id}, s.publisher)
	want(t, s.do("POST", s.path("/tombstone"), strings.NewReader(body), asJSON), 422,
		invalid+"no usable key is known for this store")
	if err := s.memory.Pin(t.Context(), module.Pins{Publisher: s.publisher.PublicKey()}); err != nil {
		t.Fatal(err)
	}
	s.serve(remotetest.NewStores(s.now, s.memory), nil)
	want(t, s.do("POST", s.path("/tombstone"), strings.NewReader(body), asJSON), 201, "")
}
