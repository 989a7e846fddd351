package chain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// rpcTo returns a source over a handler.
func rpcTo(t *testing.T, h http.Handler, o *chain.RPCOptions) *chain.RPC {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	r, err := chain.NewRPC(srv.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// once returns the options of a source without retries.
func once() *chain.RPCOptions { return &chain.RPCOptions{Attempts: 1} }

// says returns a handler that answers every request with one document.
func says(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, document) }
}

func TestVectorsRPC(t *testing.T) {
	var file struct {
		Note, Source string
		Cases        []struct {
			Endpoint string
			Request  json.RawMessage
			Response json.RawMessage
			Note     string
			Expect   string
		}
	}
	vectors.Load(t, "chain-rpc.json", &file)
	passed := 0
	for i, c := range file.Cases {
		t.Run(fmt.Sprint(c.Endpoint, " ", i), func(t *testing.T) {
			var asked []byte
			r := rpcTo(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if want := "/" + c.Endpoint; req.URL.Path != want || req.Method != http.MethodPost {
					t.Errorf("%s %s, want POST %s", req.Method, req.URL.Path, want)
				}
				asked, _ = io.ReadAll(req.Body)
				w.Write(c.Response)
			}), once())
			var body struct {
				Success  bool
				Error    string
				State    struct{ Peak vectorBlock } `json:"blockchain_state"`
				Block    vectorBlock                `json:"block_record"`
				Solution vectorSpend                `json:"coin_solution"`
			}
			if err := json.Unmarshal(c.Response, &body); err != nil {
				t.Fatal(err)
			}
			refused := func(err error) {
				t.Helper()
				if !errors.Is(err, chain.ErrUnavailable) || !strings.Contains(err.Error(), body.Error) ||
					!strings.Contains(err.Error(), r.String()) {
					t.Errorf("%v, want ErrUnavailable with %q and the host", err, body.Error)
				}
			}
			switch c.Endpoint {
			case "get_blockchain_state":
				b, err := r.Peak(t.Context())
				if !body.Success {
					refused(err)
				} else if err != nil || *b != body.State.Peak.block() {
					t.Errorf("%+v, %v, want %+v", b, err, body.State.Peak.block())
				}
			case "get_block_record_by_height":
				b, err := r.BlockAt(t.Context(), body.Block.Height)
				if err != nil || *b != body.Block.block() {
					t.Errorf("%+v, %v, want %+v", b, err, body.Block.block())
				}
			case "get_block_record": // the same form; this package does not use the method
				r := rpcTo(t, says(string(c.Response)), once())
				b, err := r.BlockAt(t.Context(), body.Block.Height)
				if err != nil || *b != body.Block.block() {
					t.Errorf("%+v, %v, want %+v", b, err, body.Block.block())
				}
				return
			case "get_puzzle_and_solution":
				sp, err := r.CoinSpend(t.Context(), body.Solution.Coin.coin().ID(), 1)
				if err != nil || sp.Coin != body.Solution.Coin.coin() ||
					string(sp.Puzzle) != string(body.Solution.Puzzle) ||
					string(sp.Solution) != string(body.Solution.Solution) {
					t.Errorf("%+v, %v", sp, err)
				}
			case "get_coin_record_by_name":
				rec, err := r.CoinRecord(t.Context(), merkle.Hash(fill(0xab)))
				if c.Expect != "absent" || rec != nil || err != nil {
					t.Errorf("%+v, %v, want %s", rec, err, c.Expect)
				}
			case "get_coin_records_by_hint":
				list, err := r.ByHint(t.Context(), merkle.Hash{}, true)
				if c.Expect != "incomplete" || list != nil || !errors.Is(err, chain.ErrMalformed) {
					t.Errorf("%v, %v, want an error: the list never ends", list, err)
				}
			case "get_additions_and_removals": // an error; this package does not use the method
				r := rpcTo(t, says(string(c.Response)), once())
				_, err := r.Peak(t.Context())
				if !errors.Is(err, chain.ErrUnavailable) || !strings.Contains(err.Error(), body.Error) {
					t.Errorf("%v, want ErrUnavailable with %q", err, body.Error)
				}
				return
			default:
				t.Fatalf("endpoint %q", c.Endpoint)
			}
			if c.Request != nil && strings.Join(strings.Fields(string(asked)),
				"") != strings.Join(strings.Fields(string(c.Request)), "") {
				t.Errorf("asked %s, want %s", asked, c.Request)
			}
		})
		passed++
	}
	vectors.Count(t, "chain-rpc.json", passed, 0)
}

func fill(b byte) (h [32]byte) {
	for i := range h {
		h[i] = b
	}
	return h
}

type vectorBlock struct {
	Height uint32 `json:"height"`
	Hash   hex0x  `json:"header_hash"`
	Time   uint64 `json:"timestamp"`
	Prev   uint32 `json:"prev_transaction_block_height"`
}

func (b vectorBlock) block() chain.Block {
	return chain.Block{Height: b.Height, Hash: b.Hash.hash(), Time: b.Time, PrevTransaction: b.Prev}
}

// TestRPCRefuses: malformed answers of each method are errors.
func TestRPCRefuses(t *testing.T) {
	const coin = `"coin":{"parent_coin_info":"0x` + sixty4 + `","puzzle_hash":"` + sixty4 +
		`","amount":1}`
	record := func(members string) string {
		return `{"success":true,"coin_record":{` + members + `}}`
	}
	ask := map[string]func(context.Context, *chain.RPC) error{
		"record": func(ctx context.Context, r *chain.RPC) error { _, err := r.CoinRecord(ctx, merkle.Hash{}); return err },
		"spend": func(ctx context.Context, r *chain.RPC) error {
			_, err := r.CoinSpend(ctx, merkle.Hash{}, 1)
			return err
		},
		"peak":  func(ctx context.Context, r *chain.RPC) error { _, err := r.Peak(ctx); return err },
		"block": func(ctx context.Context, r *chain.RPC) error { _, err := r.BlockAt(ctx, 1); return err },
		"list": func(ctx context.Context, r *chain.RPC) error {
			_, err := r.ByHint(ctx, merkle.Hash{}, true)
			return err
		},
		"name": func(ctx context.Context, r *chain.RPC) error { _, err := r.Network(ctx); return err },
	}
	for name, tt := range map[string]struct {
		what, answer string
		want         error
	}{
		"no JSON":                     {"peak", `<html>`, chain.ErrMalformed},
		"an array":                    {"peak", `[]`, chain.ErrMalformed},
		"nothing":                     {"peak", ``, chain.ErrMalformed},
		"two documents":               {"peak", `{"success":true}{}`, chain.ErrMalformed},
		"no success":                  {"name", `{"network_name":"mainnet"}`, chain.ErrMalformed},
		"success as text":             {"name", `{"success":"true","network_name":"mainnet"}`, chain.ErrMalformed},
		"no name":                     {"name", `{"success":true}`, chain.ErrMalformed},
		"no state":                    {"peak", `{"success":true}`, chain.ErrMalformed},
		"no sync":                     {"peak", `{"success":true,"blockchain_state":{"peak":null}}`, chain.ErrMalformed},
		"not synced":                  {"peak", `{"success":true,"blockchain_state":{"peak":null,"sync":{"synced":false}}}`, chain.ErrUnavailable},
		"no peak":                     {"peak", `{"success":true,"blockchain_state":{"peak":null,"sync":{"synced":true}}}`, chain.ErrUnavailable},
		"a peak without a hash":       {"peak", `{"success":true,"blockchain_state":{"peak":{"height":1},"sync":{"synced":true}}}`, chain.ErrMalformed},
		"no record":                   {"record", `{"success":true}`, chain.ErrMalformed},
		"a null record":               {"record", `{"success":true,"coin_record":null}`, chain.ErrMalformed},
		"a record without coin":       {"record", record(`"confirmed_block_index":1,"spent_block_index":0`), chain.ErrMalformed},
		"a record without a height":   {"record", record(coin + `,"spent_block_index":0`), chain.ErrMalformed},
		"a record without spent":      {"record", record(coin + `,"confirmed_block_index":1`), chain.ErrMalformed},
		"spent, and not":              {"record", record(coin + `,"confirmed_block_index":1,"spent_block_index":0,"spent":true`), chain.ErrMalformed},
		"not spent, and spent":        {"record", record(coin + `,"confirmed_block_index":1,"spent_block_index":2,"spent":false`), chain.ErrMalformed},
		"a height below zero":         {"record", record(coin + `,"confirmed_block_index":-1,"spent_block_index":0`), chain.ErrMalformed},
		"a height beyond 32 bits":     {"record", record(coin + `,"confirmed_block_index":4294967296,"spent_block_index":0`), chain.ErrMalformed},
		"an amount in a fraction":     {"record", record(strings.Replace(coin, `"amount":1`, `"amount":1.5`, 1) + `,"confirmed_block_index":1,"spent_block_index":0`), chain.ErrMalformed},
		"an amount beyond 64 bits":    {"record", record(strings.Replace(coin, `"amount":1`, `"amount":18446744073709551616`, 1) + `,"confirmed_block_index":1,"spent_block_index":0`), chain.ErrMalformed},
		"a short hash":                {"record", record(strings.Replace(coin, "0x"+sixty4, "0x00", 1) + `,"confirmed_block_index":1,"spent_block_index":0`), chain.ErrMalformed},
		"a hash not in hex":           {"record", record(strings.Replace(coin, "0x00", "0xzz", 1) + `,"confirmed_block_index":1,"spent_block_index":0`), chain.ErrMalformed},
		"another refusal":             {"record", `{"success":false,"error":"Coin record not found","structuredError":{"code":"DATABASE_IS_SMALL"}}`, chain.ErrUnavailable},
		"a refusal without words":     {"record", `{"success":false}`, chain.ErrUnavailable},
		"no spend":                    {"spend", `{"success":true}`, chain.ErrMalformed},
		"a spend without solution":    {"spend", `{"success":true,"coin_solution":{` + coin + `,"puzzle_reveal":"80"}}`, chain.ErrMalformed},
		"half a byte of puzzle":       {"spend", `{"success":true,"coin_solution":{` + coin + `,"puzzle_reveal":"8","solution":"80"}}`, chain.ErrMalformed},
		"no block":                    {"block", `{"success":true}`, chain.ErrMalformed},
		"no list":                     {"list", `{"success":true}`, chain.ErrMalformed},
		"a null list":                 {"list", `{"success":true,"coin_records":null}`, chain.ErrMalformed},
		"a list with a bad record":    {"list", `{"success":true,"coin_records":[{}]}`, chain.ErrMalformed},
		"a list cut off":              {"list", `{"success":true,"coin_records":[],"truncated":true}`, chain.ErrMalformed},
		"a list that turns in circle": {"list", `{"success":true,"coin_records":[],"truncated":true,"next_cursor":"a"}`, chain.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := rpcTo(t, says(tt.answer), once())
			err := ask[tt.what](t.Context(), r)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			var asked *chain.SourceError
			if !errors.As(err, &asked) || asked.Source != r.String() {
				t.Errorf("%v does not name the host %s", err, r)
			}
		})
	}
	for name, answer := range map[string]string{
		"spend": `{"success":false,"error":"Invalid height 1. coin record None","structuredError":{"code":"INVALID_HEIGHT_FOR_COIN"}}`,
		"block": `{"success":false,"error":"Block height 1 not found in chain"}`,
	} {
		if err := ask[name](t.Context(), rpcTo(t, says(answer), once())); err != nil {
			t.Errorf("absent %s: %v", name, err)
		}
	}
}

const sixty4 = "0000000000000000000000000000000000000000000000000000000000000000"

func TestRPCLimits(t *testing.T) {
	pad := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"success":true,"x":"`)
			for range n >> 10 {
				if _, err := io.WriteString(w, strings.Repeat("a", 1<<10)); err != nil {
					return
				}
			}
		}
	}
	if _, err := rpcTo(t, pad(2<<20), once()).Peak(t.Context()); !errors.Is(err, chain.ErrTooLarge) {
		t.Errorf("a state of 2 MiB: %v, want ErrTooLarge", err)
	}
	if _, err := rpcTo(t, pad(9<<20), once()).ByHint(t.Context(), merkle.Hash{}, true); !errors.Is(err,
		chain.ErrTooLarge) {
		t.Errorf("a list of 9 MiB: %v, want ErrTooLarge", err)
	}
	var page atomic.Int32
	endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"success":true,"coin_records":[],"truncated":true,"next_cursor":"%d"}`,
			page.Add(1))
	})
	if _, err := rpcTo(t, endless, once()).ByHint(t.Context(), merkle.Hash{}, true); !errors.Is(err,
		chain.ErrTooLarge) || page.Load() != 100 {
		t.Errorf("an endless list: %v after %d pages, want ErrTooLarge after 100", err, page.Load())
	}
}

func TestRPCStatus(t *testing.T) {
	for code, want := range map[int]struct {
		err   error
		calls int32
	}{
		429: {chain.ErrRateLimited, 2}, 502: {chain.ErrUnavailable, 2}, 503: {chain.ErrUnavailable, 2}, 504: {chain.ErrUnavailable, 2},
		500: {chain.ErrUnavailable, 1}, 404: {chain.ErrUnavailable, 1}, 403: {chain.ErrUnavailable, 1}, 302: {chain.ErrUnavailable, 1},
	} {
		var calls atomic.Int32
		o := &chain.RPCOptions{Attempts: 2}
		r := rpcTo(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			calls.Add(1)
			if code == 302 {
				http.Redirect(w, req, "http://127.0.0.1:1/", code)
				return
			}
			w.WriteHeader(code)
		}), o)
		if _, err := r.Peak(t.Context()); !errors.Is(err, want.err) || calls.Load() != want.calls ||
			!strings.Contains(err.Error(), fmt.Sprint(code)) {
			t.Errorf("status %d: %v after %d calls, want %v after %d", code, err, calls.Load(), want.err,
				want.calls)
		}
	}
}

func TestRPCAddress(t *testing.T) {
	for base, ok := range map[string]bool{
		"https://api.coinset.org": true, "https://api.coinset.org/v1/": true, "http://127.0.0.1:8555": true, "http://[::1]:8555": true, "http://localhost:1": true,
		"http://api.coinset.org": false, "api.coinset.org": false, "": false, "https://": false, "ftp://x": false, "https://u:p@x": false, "https://x/?a=b": false, "https://x/#a": false, "http://10.0.0.1": false,
	} {
		if _, err := chain.NewRPC(base, nil); (err == nil) != ok {
			t.Errorf("%q: %v", base, err)
		} else if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: the error repeats the password: %v", base, err)
		}
	}
}

// piped serves a handler over in-memory connections, which synctest requires.
func piped(t testing.TB, h http.Handler) func(ctx context.Context, network, addr string) (net.Conn,
	error) {
	l := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case l.accept <- server:
			return client, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func TestRPCTries(t *testing.T) {
	inBubble := func(name string, h http.HandlerFunc, check func(t *testing.T, r *chain.RPC)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := chain.NewRPC("http://localhost", &chain.RPCOptions{Dial: piped(t, h)})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				check(t, r)
			})
		})
	}
	c, s := minted(t, 1)
	good := c.Handler(nil)
	var failures atomic.Int32
	inBubble("three failures", func(w http.ResponseWriter, req *http.Request) {
		if failures.Add(1) <= 3 {
			w.WriteHeader(503)
			return
		}
		good.ServeHTTP(w, req)
	}, func(t *testing.T, r *chain.RPC) {
		began := time.Now()
		if b, err := r.Peak(t.Context()); err != nil || b.Height != c.Height() {
			t.Errorf("%v, %v", b, err)
		}
		if took := time.Since(began); took > 250*time.Millisecond+500*time.Millisecond+time.Second {
			t.Errorf("three tries more took %v", took)
		}
	})
	inBubble("asked to wait", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(429)
	}, func(t *testing.T, r *chain.RPC) {
		began := time.Now()
		_, err := r.CoinRecord(t.Context(), merkle.Hash(s.ID()))
		if took := time.Since(began); !errors.Is(err, chain.ErrRateLimited) || took != 90*time.Second {
			t.Errorf("%v after %v, want ErrRateLimited after 90s", err, took)
		}
	})
	slow := func(_ http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body) // a server looks for the end of the connection only after the body
		<-req.Context().Done()
	}
	inBubble("slow", slow, func(t *testing.T, r *chain.RPC) {
		began := time.Now()
		_, err := r.Peak(t.Context())
		if took := time.Since(began); !errors.Is(err, chain.ErrUnavailable) || took < 40*time.Second ||
			took > 42*time.Second {
			t.Errorf("%v after %v, want ErrUnavailable after four times 10s", err, took)
		}
	})
	inBubble("slow, with a deadline", slow, func(t *testing.T, r *chain.RPC) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, err := r.Peak(ctx)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("%v after %v, want the deadline after 3s", err, took)
		}
	})
	inBubble("drop by drop", func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		for {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-time.After(time.Second):
			case <-req.Context().Done():
				return
			}
		}
	}, func(t *testing.T, r *chain.RPC) {
		if _, err := r.Peak(t.Context()); !errors.Is(err, chain.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	})
}

func TestRPCUnreachable(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	r, err := chain.NewRPC(srv.URL, once())
	if err != nil {
		t.Fatal(err)
	}
	_, err = chain.NewResolver(r, nil).CurrentRoot(t.Context(), [32]byte{1})
	text := fmt.Sprint(err)
	if !errors.Is(err, chain.ErrUnavailable) || !strings.Contains(text, srv.URL) ||
		!strings.Contains(text, "get_network_info") || !strings.Contains(text, "refused") {
		t.Errorf("%v, want ErrUnavailable, the host, the request and the cause", err)
	}
}

// TestRPCResolves resolves a store over HTTP, with lists in pages.
func TestRPCResolves(t *testing.T) {
	c, s := minted(t, 40)
	for name, o := range map[string]*chaintest.HandlerOptions{"full node": nil,
		"in pages": {Page: 7}} {
		t.Run(name, func(t *testing.T) {
			r := chain.NewResolver(rpcTo(t, c.Handler(o), once()), fresh())
			if got, err := r.Lineage(t.Context(), s.ID()); err != nil || len(got) != 40 {
				t.Errorf("%d roots, %v", len(got), err)
			}
		})
	}
}
