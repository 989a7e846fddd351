package chain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

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
		Outcome   string
		Error     string
		Estimates []uint64
	}
}

// TestPushVectors decodes recorded answers of a full node, and encodes the same requests.
func TestPushVectors(t *testing.T) {
	var file struct{ Cases []pushCase }
	vectors.Load(t, "chain-push-tx.json", &file)
	for i := range file.Cases {
		c := &file.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			if c.Method == "push_tx" {
				c.push(t)
			} else {
				c.ask(t)
			}
		})
	}
	vectors.Count(t, "chain-push-tx.json", len(file.Cases), 0)
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

// source returns a client of a host that expects the request of the case.
func (c *pushCase) source(t *testing.T) *chain.RPC {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/"+c.Method ||
			!cmp.Equal(number(t, body), number(t, c.Request)) {
			t.Errorf("request %s, %s, %v; want %s, %s", r.URL.Path, body, err, c.Method, c.Request)
		}
		w.Write(c.Response)
	}))
	t.Cleanup(s.Close)
	source, err := chain.NewRPC(s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// ask requests a coin, a bundle in the mempool, or a fee.
func (c *pushCase) ask(t *testing.T) {
	t.Helper()
	var request struct {
		Name  string
		TxID  string  `json:"tx_id"`
		Times []int64 `json:"target_times"`
		Cost  uint64
	}
	if err := json.Unmarshal(c.Request, &request); err != nil {
		t.Fatal(err)
	}
	source := c.source(t)
	if c.Method == "get_fee_estimate" {
		var after []time.Duration
		for _, s := range request.Times {
			after = append(after, time.Duration(s)*time.Second)
		}
		got, err := source.FeeEstimate(t.Context(), request.Cost, after...)
		if err != nil || !slices.Equal(got, c.Expect.Estimates) {
			t.Errorf("estimates %v, %v; want %v", got, err, c.Expect.Estimates)
		}
		return
	}
	id, err := merkle.ParseHash(strings.TrimPrefix(request.Name+request.TxID, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	absent := c.Expect.Outcome == "absent"
	if c.Method == "get_coin_record_by_name" {
		rec, err := source.CoinRecord(t.Context(), id)
		if err != nil || (rec == nil) != absent || rec != nil && (rec.Coin.ID() != id ||
			rec.Confirmed == 0) {
			t.Errorf("record %+v, %v; want %s", rec, err, c.Expect.Outcome)
		}
		return
	}
	item, err := source.MempoolItem(t.Context(), id)
	if err != nil || (item == nil) != absent || item != nil && (item.ID != id ||
		len(item.Spent) == 0 || len(item.Made) == 0 || item.Cost == 0) {
		t.Errorf("item %+v, %v; want %s", item, err, c.Expect.Outcome)
	}
}

// TestMempoolAnswers: malformed answers about the mempool and about fees are errors.
func TestMempoolAnswers(t *testing.T) {
	id := merkle.Hash{1}
	for body, want := range map[string]error{
		`{"success":true}`:                   chain.ErrMalformed,
		`{"success":true,"mempool_item":{}}`: chain.ErrMalformed,
		`{"success":true,"mempool_item":{"spend_bundle_name":"` + id.String() +
			`","fee":1,"removals":[{}]}}`: chain.ErrMalformed,
		`{"success":true,"mempool_item":{"spend_bundle_name":"` + id.String() +
			`","fee":1,"additions":[null]}}`: chain.ErrMalformed,
		`{"success":true,"mempool_item":{"spend_bundle_name":"` + merkle.Hash{2}.String() +
			`","fee":1}}`: chain.ErrSourceInvalid,
		`{"success":false,"error":"Tx id 0x01 not in the mempool"}`: nil,
		`{"success":false,"error":"something"}`:                     chain.ErrUnavailable,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, body)
		}))
		source, err := chain.NewRPC(s.URL, &chain.RPCOptions{Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		if item, err := source.MempoolItem(t.Context(), id); !errors.Is(err, want) || item != nil {
			t.Errorf("%s: %+v, %v, want %v", body, item, err, want)
		}
		if list, err := source.FeeEstimate(t.Context(), 1, time.Second); err == nil {
			t.Errorf("%s: estimates %v", body, list)
		}
		s.Close()
	}
}

// TestPushNext: each name of an error has a next step, and malformed answers are errors.
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

// TestBundleJSON: a bundle does not change by encoding and decoding, and malformed JSON is an
// error.
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
