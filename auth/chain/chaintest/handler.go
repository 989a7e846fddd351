package chaintest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/merkle"
)

// HandlerOptions configures [Chain.Handler]. A nil *HandlerOptions means a full node.
type HandlerOptions struct {
	// Page is the maximum number of coin records in one answer; a cursor requests the rest. 0 means
	// no limit. Full nodes have none, public services do.
	Page int
	// Alter, if not nil, returns the JSON document that is sent in place of answer. Tests use it for
	// wrong answers.
	Alter func(method string, answer []byte) []byte
}

// Handler returns the JSON RPC of a full node with this chain, or of a public service if
// options.Page is set (auth/chain/LINEAGE.md 6.1 to 6.4). It answers POST requests to /<method>,
// which count as calls of the source. It refuses a request that a full node refuses, such as one
// with a null.
func (c *Chain) Handler(options *HandlerOptions) http.Handler {
	h := &handler{chain: c}
	if options != nil {
		h.options = *options
	}
	return h
}

type handler struct {
	chain   *Chain
	options HandlerOptions
}

// A refusal is an answer with success:false.
type refusal struct {
	code, message string
}

func (r *refusal) Error() string { return r.message }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := strings.TrimPrefix(r.URL.Path, "/")
	if r.Method != http.MethodPost {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	call := rpc[method]
	if call == nil {
		http.NotFound(w, r)
		return
	}
	answer, err := h.answer(r.Context(), call, body)
	if err != nil {
		code := "UNKNOWN"
		var refused *refusal
		if errors.As(err, &refused) {
			code = refused.code
		}
		answer = map[string]any{
			"success": false, "error": err.Error(), "traceback": "Traceback (most recent call last): …",
			"structuredError": map[string]any{"code": code, "message": err.Error(), "data": map[string]any{}},
		}
	} else {
		answer["success"] = true
	}
	out, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if h.options.Alter != nil {
		out = h.options.Alter(method, out)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Write(out)
}

func (h *handler) answer(ctx context.Context, call method, body []byte) (map[string]any, error) {
	var q query
	if err := json.Unmarshal(body, &q.members); err != nil {
		return nil, fmt.Errorf("the request is no JSON object: %w", err)
	}
	for name, v := range q.members {
		if string(v) == "null" {
			return nil, fmt.Errorf("unsupported operand type of %s: NoneType", name)
		}
	}
	answer, err := call(ctx, h, &q)
	if q.err != nil { // err is a consequence of q.err
		err = q.err
	}
	return answer, err
}

// A query has the members of a request. err is the first error of reading one.
type query struct {
	members map[string]json.RawMessage
	err     error
}

func (q *query) read(name string, v any) {
	raw, ok := q.members[name]
	err := errors.New("missing")
	if ok {
		err = json.Unmarshal(raw, v)
	}
	if err != nil && q.err == nil {
		q.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (q *query) hash(name string) merkle.Hash {
	var h hexHash
	q.read(name, &h)
	return merkle.Hash(h)
}

func (q *query) hashes(name string) []merkle.Hash {
	var list []hexHash
	q.read(name, &list)
	out := make([]merkle.Hash, len(list))
	for i, h := range list {
		out[i] = merkle.Hash(h)
	}
	return out
}

func (q *query) height() (v uint32) {
	q.read("height", &v)
	return v
}

// includeSpent returns include_spent_coins, which is false by default, as at a full node.
func (q *query) includeSpent() (v bool) {
	if _, ok := q.members["include_spent_coins"]; ok {
		q.read("include_spent_coins", &v)
	}
	return v
}

// A method answers one kind of request.
type method func(ctx context.Context, h *handler, q *query) (map[string]any, error)

var rpc = map[string]method{
	"get_network_info": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		name, err := h.chain.Network(ctx)
		challenge, prefix := merkle.Sum([]byte(name)), chain.PrefixTestnet
		if name == chain.Mainnet {
			prefix = chain.PrefixXCH
		}
		return map[string]any{"network_name": name, "network_prefix": prefix, "genesis_challenge": hexHash(challenge)}, err
	},
	"get_blockchain_state": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		peak, err := h.chain.Peak(ctx)
		if err != nil {
			return nil, err
		}
		return map[string]any{"blockchain_state": map[string]any{
			"peak": blockJSON(peak), "genesis_challenge_initialized": true, "difficulty": 1024, "mempool_size": 0,
			"sync":  map[string]any{"synced": true, "sync_mode": false, "sync_progress_height": 0, "sync_tip_height": 0},
			"space": json.Number("21064137890345632312"),
		}}, nil
	},
	"get_block_record_by_height": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		height := q.height()
		b, err := h.chain.BlockAt(ctx, height)
		if err == nil && b == nil {
			err = &refusal{"BLOCK_HEIGHT_NOT_FOUND", fmt.Sprintf("Block height %d not found in chain", height)}
		}
		if err != nil {
			return nil, err
		}
		return map[string]any{"block_record": blockJSON(b)}, nil
	},
	"get_coin_record_by_name": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		id := q.hash("name")
		r, err := h.chain.CoinRecord(ctx, id)
		if err == nil && r == nil {
			err = &refusal{"COIN_RECORD_NOT_FOUND", fmt.Sprintf("Coin record 0x%v not found", id)}
		}
		if err != nil {
			return nil, err
		}
		return map[string]any{"coin_record": recordJSON(*r)}, nil
	},
	"get_coin_records_by_names": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		var list []chain.CoinRecord
		spent := q.includeSpent()
		for _, id := range q.hashes("names") {
			r, err := h.chain.CoinRecord(ctx, id)
			if err != nil {
				return nil, err
			}
			if r != nil && (spent || r.Spent == 0) {
				list = append(list, *r)
			}
		}
		return h.list(q, list, nil)
	},
	"get_coin_records_by_parent_ids": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		list, err := h.chain.Children(ctx, q.hashes("parent_ids"))
		if !q.includeSpent() {
			unspent := list[:0]
			for _, r := range list {
				if r.Spent == 0 {
					unspent = append(unspent, r)
				}
			}
			list = unspent
		}
		return h.list(q, list, err)
	},
	"get_coin_records_by_hint": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		list, err := h.chain.ByHint(ctx, q.hash("hint"), q.includeSpent())
		return h.list(q, list, err)
	},
	"get_coin_records_by_puzzle_hash": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		list, err := h.chain.ByPuzzleHash(ctx, q.hash("puzzle_hash"), q.includeSpent())
		return h.list(q, list, err)
	},
	"get_puzzle_and_solution": func(ctx context.Context, h *handler, q *query) (map[string]any, error) {
		height := q.height()
		sp, err := h.chain.CoinSpend(ctx, q.hash("coin_id"), height)
		if err == nil && sp == nil {
			err = &refusal{"INVALID_HEIGHT_FOR_COIN", fmt.Sprintf("Invalid height %d. coin record None", height)}
		}
		if err != nil {
			return nil, err
		}
		return map[string]any{"coin_solution": map[string]any{
			"coin": coinJSON(sp.Coin), "puzzle_reveal": "0x" + hex.EncodeToString(sp.Puzzle), "solution": "0x" + hex.EncodeToString(sp.Solution),
		}}, nil
	},
}

// list returns the page of a list that the cursor selects.
func (h *handler) list(q *query, list []chain.CoinRecord, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	from, cursor := 0, ""
	if _, ok := q.members["cursor"]; ok {
		q.read("cursor", &cursor)
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 || from > len(list) {
			return nil, fmt.Errorf("no such cursor: %q", cursor)
		}
	}
	records := []any{} // an empty list, not null
	answer := map[string]any{}
	for i, r := range list[from:] {
		if h.options.Page > 0 && i == h.options.Page {
			answer["truncated"], answer["next_cursor"] = true, strconv.Itoa(from+i)
			break
		}
		records = append(records, recordJSON(r))
	}
	answer["coin_records"] = records
	return answer, nil
}

func coinJSON(k chain.Coin) any {
	return map[string]any{"parent_coin_info": hexHash(k.Parent), "puzzle_hash": hexHash(k.PuzzleHash),
		"amount": k.Amount}
}

func recordJSON(r chain.CoinRecord) any {
	return map[string]any{
		"coin": coinJSON(r.Coin), "confirmed_block_index": r.Confirmed, "spent_block_index": r.Spent,
		"spent": r.Spent > 0, "coinbase": false, "timestamp": r.Time,
	}
}

// blockJSON returns the JSON of a block, with some members that package chain does not use; two
// of them exceed 64 bits.
func blockJSON(b *chain.Block) any {
	var timestamp any
	if b.Time != 0 {
		timestamp = b.Time
	}
	return map[string]any{
		"header_hash": hexHash(b.Hash), "height": b.Height, "timestamp": timestamp,
		"prev_transaction_block_height": b.PrevTransaction, "prev_hash": hexHash{},
		"weight": json.Number("43252003274489856000"), "total_iters": json.Number("18446744073709551616"), "fees": nil,
	}
}

// hexHash is a hash with the JSON of a full node.
type hexHash merkle.Hash

func (h hexHash) MarshalText() ([]byte, error) { return hex.AppendEncode([]byte("0x"), h[:]), nil }

func (h *hexHash) UnmarshalText(text []byte) error {
	m, err := merkle.ParseHash(strings.TrimPrefix(string(text), "0x"))
	*h = hexHash(m)
	return err
}
