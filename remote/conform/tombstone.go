package conform

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/dig-network/digstore/auth"
)

// tombstoneChecks send invalid tombstones: malformed, for another store, or signed by another key.
func tombstoneChecks() []check {
	const invalid = http.StatusUnprocessableEntity
	return []check{
		badTombstone("bad-hex", Must, invalid, recordNotHex),
		badTombstone("malformed", Must, invalid, shortRecord),
		badTombstone("trailing-bytes", Extension, invalid, longRecord),
		badTombstone("bad-signature-hex", Must, invalid, shortSignature),
		badTombstone("another-store", Must, invalid, tombstoneOfAnotherStore),
		badTombstone("another-key", Must, http.StatusForbidden, foreignTombstone),
	}
}

// badTombstone is a check that a tombstone is refused with a status.
func badTombstone(name string, level Level, status int,
	body func(*session) map[string]string) check {
	return check{"tombstone/" + name, "§7.2", level, func(ctx context.Context, s *session) error {
		if _, err := s.head(ctx); err != nil {
			return err
		}
		a, err := s.send(ctx, probe{tail: "/tombstone"}.asJSON(body(s)))
		if err != nil {
			return err
		}
		if a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed {
			return skip("the origin takes no tombstones")
		}
		return a.is(status)
	}}
}

// foreignTombstone returns a tombstone of a root that does not exist, signed by a key that is not
// the store's.
func foreignTombstone(s *session) map[string]string { return signedTombstone(s.store) }

func tombstoneOfAnotherStore(*session) map[string]string { return signedTombstone(nowhere()) }

func recordNotHex(s *session) map[string]string {
	b := foreignTombstone(s)
	b["record"] = "x"
	return b
}

func shortRecord(s *session) map[string]string {
	b := foreignTombstone(s)
	b["record"] = b["record"][:80]
	return b
}

func longRecord(s *session) map[string]string {
	b := foreignTombstone(s)
	b["record"] += "00"
	return b
}

func shortSignature(s *session) map[string]string {
	b := foreignTombstone(s)
	b["signature"] = b["signature"][2:]
	return b
}

// signedTombstone returns the request for a tombstone of a random root, signed by a new key.
func signedTombstone(store auth.StoreID) map[string]string {
	t, err := auth.SignTombstone(context.Background(),
		auth.Tombstone{Store: store, Root: random(), NotAfter: 1}, freshKey())
	if err != nil {
		panic("conform: " + err.Error()) // signing with a key in memory does not fail
	}
	return tombstoneBody(t)
}

// tombstoneBody returns the body of POST /stores/{id}/tombstone.
func tombstoneBody(t auth.Tombstone) map[string]string {
	record, _ := t.MarshalBinary() // never fails
	return map[string]string{"record": hex.EncodeToString(record), "signature": t.Sig.String()}
}
