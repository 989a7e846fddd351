package request

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
)

// protocolTables returns the tables in one section of remote/PROTOCOL.md: rows of trimmed cells, without the heads.
func protocolTables(t *testing.T, section string) [][][]string {
	t.Helper()
	text, err := os.ReadFile("../../remote/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`^##+ ([0-9.]+?)\.? `)
	var tables [][][]string
	in, table := false, false
	for line := range strings.Lines(string(text)) {
		if h := heading.FindStringSubmatch(line); h != nil {
			in = h[1] == section
		}
		switch {
		case !in || !strings.HasPrefix(line, "|"):
			table = false
		case strings.HasPrefix(line, "|---"):
		case !table:
			table = true
			tables = append(tables, nil)
		default:
			var cells []string
			for _, c := range strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|") {
				cells = append(cells, strings.TrimSpace(c))
			}
			tables[len(tables)-1] = append(tables[len(tables)-1], cells)
		}
	}
	if len(tables) == 0 {
		t.Fatalf("PROTOCOL.md %s has no table", section)
	}
	return tables
}

// filled is n times b.
func filled[T ~[32]byte](b byte) (out T) {
	for i := range out {
		out[i] = b
	}
	return out
}

// TestProtocolDocument compares what remote/PROTOCOL.md says of signatures with the code.
func TestProtocolDocument(t *testing.T) {
	store, at, nonce := filled[auth.StoreID](1), time.Unix(1_700_000_000, 0), filled[[32]byte](7)
	vectors := protocolTables(t, "1.5")
	for _, row := range vectors[0] {
		msg := Message(Op(row[0]), store, at, nonce)
		if !Op(row[0]).Valid() || hex.EncodeToString(msg[:]) != row[1] {
			t.Errorf("PROTOCOL.md 1.5: message of %s is %x, the document has %s", row[0], msg, row[1])
		}
	}
	if len(vectors[0]) != 10 {
		t.Errorf("PROTOCOL.md 1.5 has %d messages, want one for each of 10 operations", len(vectors[0]))
	}
	identity := auth.NewKey(filled[[auth.SeedSize]byte](0x63))
	for _, row := range vectors[1] {
		got := identity.PublicKey().String()
		if row[0] != "public key" {
			msg := Message(Op(row[0]), store, at, nonce)
			got = signature(t, identity, msg[:])
		}
		if got != row[1] {
			t.Errorf("PROTOCOL.md 1.5: %s is %s, the document has %s", row[0], got, row[1])
		}
	}
	publisher := auth.NewKey(filled[[auth.SeedSize]byte](0x2a))
	signed, err := auth.SignRoot(t.Context(), store, filled[[32]byte](0x20), publisher)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"public key": publisher.PublicKey().String(),
		"push, tagged form": signed.Tagged.String(), "push, untagged form": signed.Untagged.String()}
	for name, stone := range map[string]auth.Tombstone{
		"tombstone of the root":  {Store: store, Root: signed.Root, NotAfter: 1_700_000_000, Reason: auth.Compromise},
		"tombstone of the store": {Store: store, NotAfter: 1_700_000_000, Reason: auth.Takedown},
	} {
		stone, err = auth.SignTombstone(t.Context(), stone, publisher)
		if err != nil {
			t.Fatal(err)
		}
		record, err := stone.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		want[name+", record"], want[name+", signature"] = hex.EncodeToString(record), stone.Sig.String()
	}
	for _, row := range vectors[2] {
		if want[row[0]] != row[1] {
			t.Errorf("PROTOCOL.md 1.5: %s is %s, the document has %s", row[0], want[row[0]], row[1])
		}
		delete(want, row[0])
	}
	for name := range want {
		t.Errorf("PROTOCOL.md 1.5 has no %s", name)
	}
	t.Run("operations", operationsDocument)
	t.Run("reasons", reasonsDocument)
	t.Run("tombstones", tombstonesDocument)
}

func signature(t *testing.T, by *auth.Key, msg []byte) string {
	t.Helper()
	sig, err := by.Sign(t.Context(), msg)
	if err != nil {
		t.Fatal(err)
	}
	return sig.String()
}

// operationsDocument compares the table of routes with OpOf, which does not know the route of one resource.
func operationsDocument(t *testing.T) {
	documented := map[string]Op{}
	for _, row := range protocolTables(t, "3.2")[0] {
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
		for _, tail := range []string{"", "/roots", "/module", "/module/upload", "/module/complete", "/content", "/proof", "/delta", "/tombstone"} {
			if op, ok := OpOf(method, tail); ok && documented[method+" "+tail] != op {
				t.Errorf("PROTOCOL.md 3.2 has no %s %s", method, tail)
			}
		}
	}
}

// reasonsDocument compares the reasons of 401 with those of the code.
func reasonsDocument(t *testing.T) {
	want := map[string]bool{}
	for _, e := range []*Error{noIdentity, noTimestamp, badTimestamp, noNonce, noAuth, stale, badIdentity, badKey, badNonce, badAuth, badSignature, replayed} {
		want[e.Reason] = true
	}
	for _, row := range protocolTables(t, "3.4")[0] {
		if row[2] == "401" && !want[row[3]] {
			t.Errorf("PROTOCOL.md 3.4: the code has no reason %q", row[3])
		}
		delete(want, row[3])
	}
	for reason := range want {
		t.Errorf("PROTOCOL.md 3.4 has no reason %q", reason)
	}
	if DefaultWindow != 300*time.Second || DefaultMaxNonces != 1_048_576 || DefaultMaxNoncesPerIdentity != 16_384 ||
		startSlack != 5*time.Second || forgetSlack != time.Second {
		t.Error("PROTOCOL.md 3.4 and 3.5 state other limits than the code has")
	}
}

// tombstonesDocument reads a record by the tables of 7.1.
func tombstonesDocument(t *testing.T) {
	tables := protocolTables(t, "7.1")
	for i, stone := range []auth.Tombstone{
		{Store: filled[auth.StoreID](1), Root: filled[[32]byte](2), NotAfter: 0x0304050607080910, Reason: 9},
		{Store: filled[auth.StoreID](1), NotAfter: 0x0304050607080910, Reason: 9},
	} {
		record, err := stone.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again []byte
		for _, row := range tables[i] {
			switch row[2] {
			case "store id":
				again = append(again, stone.Store[:]...)
			case "scope":
				again = append(again, row[3][0]-'0')
			case "root":
				again = append(again, stone.Root[:]...)
			case "not_after":
				again = append(again, 3, 4, 5, 6, 7, 8, 9, 0x10)
			case "reason":
				again = append(again, 9)
			default:
				t.Errorf("PROTOCOL.md 7.1: no field %q", row[2])
			}
		}
		if hex.EncodeToString(again) != hex.EncodeToString(record) {
			t.Errorf("PROTOCOL.md 7.1 describes %x, the code writes %x", again, record)
		}
	}
	for _, row := range tables[2] {
		if got := auth.Reason(row[0][0] - '0').String(); got != row[1] {
			t.Errorf("PROTOCOL.md 7.1: reason %s is %s, the code has %s", row[0], row[1], got)
		}
	}
}
