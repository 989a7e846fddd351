package request

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/docs"
)

// filled is n times b.
func filled[T ~[32]byte](b byte) (out T) {
	for i := range out {
		out[i] = b
	}
	return out
}

// TestProtocolDocument compares what remote/PROTOCOL.md says of signatures with the code.
func TestProtocolDocument(t *testing.T) {
	doc := docs.Open(t, "../../remote/PROTOCOL.md")
	store, at, nonce := filled[auth.StoreID](1), time.Unix(1_700_000_000, 0), filled[[32]byte](7)
	want := map[string]string{}
	for _, op := range []Op{Fetch, Roots, Module, Content, Proof, Delta, Push, PushInit, PushComplete,
		Tombstone} {
		msg := Message(op, store, at, nonce)
		want[string(op)] = hex.EncodeToString(msg[:])
	}
	doc.Compare("1.5", "request message", "value", want)

	identity := auth.NewKey(filled[[auth.SeedSize]byte](0x63))
	want = map[string]string{"public key": identity.PublicKey().String()}
	for _, op := range []Op{Fetch, Module, Push} {
		msg := Message(op, store, at, nonce)
		want[string(op)] = signature(t, identity, msg[:])
	}
	doc.Compare("1.5", "signature of the request", "value", want)

	publisher := auth.NewKey(filled[[auth.SeedSize]byte](0x2a))
	signed, err := auth.SignRoot(t.Context(), store, filled[[32]byte](0x20), publisher)
	if err != nil {
		t.Fatal(err)
	}
	want = map[string]string{"public key": publisher.PublicKey().String(),
		"push, tagged form": signed.Tagged.String(), "push, untagged form": signed.Untagged.String()}
	for name, stone := range map[string]auth.Tombstone{
		"tombstone of the root":  {Store: store, Root: signed.Root, NotAfter: 1_700_000_000, Reason: auth.Compromise},
		"tombstone of the store": {Store: store, NotAfter: 1_700_000_000, Reason: auth.Takedown},
	} {
		stone, err = auth.SignTombstone(t.Context(), stone, publisher)
		if err != nil {
			t.Fatal(err)
		}
		record, _ := stone.MarshalBinary() // never fails
		want[name+", record"], want[name+", signature"] = hex.EncodeToString(record), stone.Sig.String()
	}
	doc.Compare("1.5", "publisher", "value", want)
	t.Run("operations", func(t *testing.T) { operationsDocument(t, doc) })
	t.Run("reasons", func(t *testing.T) { reasonsDocument(t, doc) })
	t.Run("tombstones", func(t *testing.T) { tombstonesDocument(t, doc) })
}

func signature(t *testing.T, by *auth.Key, msg []byte) string {
	t.Helper()
	sig, err := by.Sign(t.Context(), msg)
	if err != nil {
		t.Fatal(err)
	}
	return sig.String()
}

// operationsDocument compares the table of routes with OpOf, which does not know the route of
// one resource.
func operationsDocument(t *testing.T, doc *docs.Doc) {
	documented := map[string]Op{}
	for _, row := range doc.Tables("3.2", "method")[0] {
		for _, method := range strings.Split(row[0], ", ") {
			documented[method+" "+row[1]] = Op(row[2])
		}
	}
	for request, op := range documented {
		method, tail, _ := strings.Cut(request, " ")
		if got, ok := OpOf(method, tail); !strings.HasPrefix(tail, "/content/") && (!ok || got != op) {
			t.Errorf("PROTOCOL.md 3.2: %s has operation %q, the code has %q", request, op, got)
		}
		if !op.Valid() {
			t.Errorf("PROTOCOL.md 3.2: no operation %q", op)
		}
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
		for _, tail := range []string{"", "/roots", "/module", "/module/upload", "/module/complete",
			"/content", "/proof", "/delta", "/tombstone"} {
			if op, ok := OpOf(method, tail); ok && documented[method+" "+tail] != op {
				t.Errorf("PROTOCOL.md 3.2 has no %s %s", method, tail)
			}
		}
	}
}

// reasonsDocument compares the reasons of 401 with those of the code.
func reasonsDocument(t *testing.T, doc *docs.Doc) {
	want := map[string]bool{}
	for _, e := range []*Error{noIdentity, noTimestamp, badTimestamp, noNonce, noAuth, stale,
		badIdentity, badKey, badNonce, badAuth, badSignature, replayed} {
		want[e.Reason] = true
	}
	for _, row := range doc.Tables("3.4", "step")[0] {
		if row[2] == "401" && !want[row[3]] {
			t.Errorf("PROTOCOL.md 3.4: the code has no reason %q", row[3])
		}
		delete(want, row[3])
	}
	for reason := range want {
		t.Errorf("PROTOCOL.md 3.4 has no reason %q", reason)
	}
	if DefaultWindow != 300*time.Second || DefaultMaxNonces != 1_048_576 ||
		DefaultMaxNoncesPerIdentity != 16_384 ||
		startSlack != 5*time.Second || forgetSlack != time.Second {
		t.Error("PROTOCOL.md 3.4 and 3.5 state other limits than the code has")
	}
}

// tombstonesDocument reads a record by the tables of 7.1.
func tombstonesDocument(t *testing.T, doc *docs.Doc) {
	records := doc.Layouts("7.1")
	for i, stone := range []auth.Tombstone{
		{Store: filled[auth.StoreID](1), Root: filled[[32]byte](2), NotAfter: 0x0304050607080910, Reason: 9},
		{Store: filled[auth.StoreID](1), NotAfter: 0x0304050607080910, Reason: 9},
	} {
		b, _ := stone.MarshalBinary() // never fails
		l := records[i]
		if len(b) != l.Size || string(l.Bytes(b, "store id")) != string(stone.Store[:]) ||
			l.Uint(b, "scope") != uint64(i) ||
			l.Uint(b, "not_after") != stone.NotAfter || l.Uint(b, "reason") != uint64(stone.Reason) {
			t.Errorf("PROTOCOL.md 7.1 does not describe %x", b)
		}
		if i == 0 && string(l.Bytes(b, "root")) != string(stone.Root[:]) {
			t.Errorf("PROTOCOL.md 7.1 does not describe the root in %x", b)
		}
	}
	want := map[string]string{}
	for r := auth.Unspecified; r <= auth.Takedown; r++ {
		want[string('0'+byte(r))] = r.String()
	}
	doc.Compare("7.1", "reason", "meaning", want)
}
