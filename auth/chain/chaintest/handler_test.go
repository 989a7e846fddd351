package chaintest_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

func TestHandler(t *testing.T) {
	c := chaintest.New(nil)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	s.Update(root(1))
	launcher := merkle.Hash(s.ID()).String()
	eve := s.Coin().Parent.String()
	server := httptest.NewServer(c.Handler(&chaintest.HandlerOptions{
		Page:  1,
		Alter: func(method string, answer []byte) []byte { return append(answer, '\n') },
	}))
	defer server.Close()
	for _, q := range []struct {
		method, body string
		want         []string
	}{
		{"get_network_info", `{}`, []string{`"network_name":"mainnet"`, `"success":true`}},
		{"get_blockchain_state", `{}`, []string{`"synced":true`, `"height":2`}},
		{"get_block_record_by_height", `{"height":1}`, []string{`"height":1`, `"header_hash":"0x`}},
		{"get_block_record_by_height", `{"height":9}`, []string{`"success":false`, `BLOCK_HEIGHT_NOT_FOUND`}},
		{"get_coin_record_by_name", `{"name":"0x` + launcher + `"}`, []string{`"spent":true`, `"spent_block_index":1`}},
		{"get_coin_record_by_name", `{"name":"` + launcher[:62] + `00"}`, []string{`COIN_RECORD_NOT_FOUND`}},
		{"get_coin_record_by_name", `{}`, []string{`"success":false`, `name: missing`}},
		{"get_coin_records_by_names", `{"names":["` + eve + `"],"include_spent_coins":true}`, []string{`"coin_records":[{`}},
		{"get_coin_records_by_parent_ids", `{"parent_ids":["` + launcher + `"]}`, []string{`"coin_records":[]`}},
		{"get_coin_records_by_parent_ids", `{"parent_ids":["` + launcher + `"],"include_spent_coins":true}`, []string{`"coin_records":[{`}},
		{"get_coin_records_by_parent_ids", `{"parent_ids":["` + launcher + `","` + eve + `"],"include_spent_coins":true}`, []string{`"truncated":true`, `"next_cursor":"1"`}},
		{"get_coin_records_by_parent_ids", `{"parent_ids":["` + launcher + `","` + eve + `"],"include_spent_coins":true,"cursor":"1"}`, []string{`"spent":false`}},
		{"get_coin_records_by_hint", `{"hint":"` + launcher + `"}`, []string{`"spent":false`}},
		{"get_coin_records_by_hint", `{"hint":"` + launcher + `","start_height":null}`, []string{`"success":false`, `NoneType`}},
		{"get_coin_records_by_puzzle_hash", `{"puzzle_hash":"` + s.Coin().PuzzleHash.String() + `"}`, []string{`"spent":false`}},
		{"get_puzzle_and_solution", `{"coin_id":"` + eve + `","height":2}`, []string{`"puzzle_reveal":"0xff02`}},
		{"get_puzzle_and_solution", `{"coin_id":"` + eve + `","height":1}`, []string{`INVALID_HEIGHT_FOR_COIN`}},
		{"get_puzzle_and_solution", `{"coin_id":"` + eve + `"}`, []string{`height: missing`}},
		{"push_tx", `{}`, []string{`404`}},
	} {
		resp, err := server.Client().Post(server.URL+"/"+q.method, "application/json",
			strings.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == 200 && !json.Valid(body) {
			t.Errorf("%s %s: no JSON: %s", q.method, q.body, body)
		}
		for _, want := range q.want {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s %s: %s; want %s in it", q.method, q.body, body, want)
			}
		}
	}
	if calls := c.Calls(); calls["CoinSpend"] != 3 || calls["ByHint"] != 1 {
		t.Errorf("counted %v", calls)
	}
}
