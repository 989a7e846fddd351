package chain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// A pushCase is a request to a full node, and its answer.
type pushCase struct {
	Name     string
	Method   string
	Request  json.RawMessage
	Response json.RawMessage
	BundleID merkle.Hash `json:"bundle_id"`
	Expect   struct {
		Outcome string
		Error   string
	}
}

// TestPushVectors reads what a full node answered, and writes what it was asked.
func TestPushVectors(t *testing.T) {
	var file struct{ Cases []pushCase }
	vectors.Load(t, "chain-push-tx.json", &file)
	passed := 0
	for i := range file.Cases {
		c := &file.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			switch c.Method {
			case "push_tx":
				c.push(t)
			case "get_coin_record_by_name":
				c.record(t)
			default:
				return // the mempool and fees are not read yet
			}
			passed++
		})
	}
	vectors.Count(t, "chain-push-tx.json", passed, len(file.Cases)-passed)
}

func (c *pushCase) push(t *testing.T) {
	t.Helper()
	a, err := chain.ReadPushAnswer(c.Response)
	if err != nil {
		t.Fatal(err)
	}
	if a.Outcome.String() != c.Expect.Outcome || a.Outcome == chain.PushRefused &&
		a.Name != c.Expect.Error {
		t.Errorf("%v, error %q; want %s, %q", a.Outcome, a.Name, c.Expect.Outcome, c.Expect.Error)
	}
	// Without the structured error, the name is the last word of the text.
	var plain map[string]any
	if err := json.Unmarshal(c.Response, &plain); err != nil {
		t.Fatal(err)
	}
	delete(plain, "structuredError")
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := chain.ReadPushAnswer(text); err != nil || *b != *a {
		t.Errorf("of an older node: %+v, %v; want %+v", b, err, a)
	}
	if c.BundleID.IsZero() || len(c.Request) < 10 {
		return
	}
	var request struct {
		Bundle *chain.Bundle `json:"spend_bundle"`
	}
	if err := json.Unmarshal(c.Request, &request); err != nil {
		t.Fatal(err)
	}
	if got := request.Bundle.ID(); got != c.BundleID {
		t.Errorf("bundle id %v, want %v", got, c.BundleID)
	}
	body, err := request.Bundle.PushRequest()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(number(t, c.Request), number(t, body)); d != "" {
		t.Errorf("request (-want +got)\n%s", d)
	}
}

// number decodes JSON without loss of digits.
func number(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// record asks for the coin by the client of this package.
func (c *pushCase) record(t *testing.T) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !cmp.Equal(number(t, body), number(t, c.Request)) {
			t.Errorf("request %s, %v; want %s", body, err, c.Request)
		}
		w.Write(c.Response)
	}))
	defer s.Close()
	source, err := chain.NewRPC(s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	var request struct{ Name string }
	if err := json.Unmarshal(c.Request, &request); err != nil {
		t.Fatal(err)
	}
	id, err := merkle.ParseHash(strings.TrimPrefix(request.Name, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := source.CoinRecord(t.Context(), id)
	if err != nil || (rec == nil) != (c.Expect.Outcome == "absent") {
		t.Errorf("record %v, %v; want %s", rec, err, c.Expect.Outcome)
	}
	if rec != nil && (rec.Coin.ID() != id || rec.Confirmed == 0) {
		t.Errorf("record %+v, want a confirmed coin %v", rec, id)
	}
}

// TestPushNext: each name of an error has its next step, and malformed answers are errors.
func TestPushNext(t *testing.T) {
	for name, want := range map[string]chain.PushNext{
		"DOUBLE_SPEND": chain.NextCheckCoins, "ALREADY_INCLUDING_TRANSACTION": chain.NextCheckCoins,
		"UNKNOWN_UNSPENT": chain.NextResolve, "INVALID_FEE_LOW_FEE": chain.NextRaiseFee,
		"INVALID_FEE_TOO_CLOSE_TO_ZERO": chain.NextRaiseFee,
		"NO_TRANSACTIONS_WHILE_SYNCING": chain.NextLater,
		"MEMPOOL_NOT_INITIALIZED":       chain.NextLater,
		"BAD_AGGREGATE_SIGNATURE":       chain.NextGiveUp, "SOMETHING_NEW": chain.NextGiveUp,
	} {
		body := `{"success":false,"error":"Failed to include transaction 00, error ` + name + `"}`
		a, err := chain.ReadPushAnswer([]byte(body))
		if err != nil || a.Outcome != chain.PushRefused || a.Name != name || a.Next() != want {
			t.Errorf("%s: %+v, next %d, error %v; want %d", name, a, a.Next(), err, want)
		}
	}
	for _, body := range []string{"", "{}", "[]", `{"success":true}`,
		`{"success":true,"status":"OK"}`} {
		if a, err := chain.ReadPushAnswer([]byte(body)); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %+v, %v, want ErrMalformed", body, a, err)
		}
	}
	long := `{"success":false,"error":"` + strings.Repeat("ä", 500) + `"}`
	if a, err := chain.ReadPushAnswer([]byte(long)); err != nil || len(a.Name) > 200 ||
		a.Outcome != chain.PushFailed {
		t.Errorf("a long error: %+v, %v", a, err)
	}
}

// TestBundleJSON: a bundle is read as it was written, and malformed ones are errors.
func TestBundleJSON(t *testing.T) {
	b := &chain.Bundle{Spends: []chain.CoinSpend{{
		Coin:   chain.Coin{Parent: merkle.Hash{1}, PuzzleHash: merkle.Hash{2}, Amount: 1<<64 - 1},
		Puzzle: []byte{1}, Solution: []byte{0x80},
	}}}
	b.Signature[0] = 0xc0
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var again chain.Bundle
	if err := json.Unmarshal(text, &again); err != nil || !cmp.Equal(&again, b) ||
		again.ID() != b.ID() {
		t.Errorf("%s: %+v, %v; want %+v", text, again, err, b)
	}
	for _, bad := range []string{
		`{}`, `{"coin_spends":[]}`, `{"coin_spends":[],"aggregated_signature":"0x00"}`,
		strings.Replace(string(text), `"amount"`, `"amounts"`, 1),
		strings.Replace(string(text), `"solution"`, `"solutions"`, 1),
		strings.Replace(string(text), "0x", "0y", 1),
		strings.Replace(string(text), "18446744073709551615", "18446744073709551616", 1),
	} {
		if err := json.Unmarshal([]byte(bad), &again); err == nil {
			t.Errorf("no error for %s", bad)
		}
	}
}
