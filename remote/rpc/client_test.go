package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/rpc"
)

func (s *site) urn(name string, root merkle.Hash) urn.URN {
	return urn.URN{Store: s.id, Root: root, Resource: name}
}

type anchor merkle.Hash

func (a anchor) CurrentRoot(context.Context, auth.StoreID) (merkle.Hash, error) {
	return merkle.Hash(a), nil
}

func TestRead(t *testing.T) {
	s := newSite(t, 2, true)
	c := client(t, s, nil)
	for n, head := range s.heads {
		for name, file := range files(n) {
			if got, err := c.Read(t.Context(), s.urn(name, head.Root)); err != nil ||
				!bytes.Equal(got, file.Data) {
				t.Errorf("generation %d, %s: %d bytes, %v", n, name, len(got), err)
			}
		}
	}
	anchored := client(t, s, &rpc.ClientOptions{Anchor: anchor(s.heads[0].Root)})
	if got, err := anchored.Read(t.Context(), s.urn("index.html", merkle.Hash{})); err != nil ||
		string(got) != "<h1>generation 0</h1>" {
		t.Errorf("by the anchor: %q, %v", got, err)
	}
	if got, err := c.ManifestOf(t.Context(), s.id, s.head()); err != nil || string(got) != `{"name":"a store"}` {
		t.Errorf("manifest: %q, %v", got, err)
	}
	small := client(t, s, &rpc.ClientOptions{MaxContent: 1 << 20})
	for _, tc := range []struct {
		name string
		c    *rpc.Client
		u    urn.URN
		want error
	}{
		{"no root", c, s.urn("index.html", merkle.Hash{}), remote.ErrUntrusted},
		{"no such resource", c, s.urn("nowhere", s.head()), remote.ErrVerification},
		{"no such generation", c, s.urn("index.html", merkle.Hash{1}), fs.ErrNotExist},
		{"no such store", c, urn.URN{Store: auth.StoreID{1}, Root: s.head()}, fs.ErrNotExist},
		{"too large", small, s.urn("large.bin", s.head()), remote.ErrTooLarge},
	} {
		if got, err := tc.c.Read(t.Context(), tc.u); !errors.Is(err, tc.want) || got != nil {
			t.Errorf("%s: %d bytes, %v; want %v", tc.name, len(got), err, tc.want)
		}
	}
	if _, err := c.ReadPrivate(t.Context(), s.urn("index.html", s.head()),
		&urn.Salt{1}); !errors.Is(err, urn.ErrSealed) {
		t.Errorf("with a salt: %v", err)
	}
}

func TestOtherMethods(t *testing.T) {
	s := newSite(t, 2, false)
	c := client(t, s, nil)
	id := module.ID{Store: s.id, Root: s.heads[0].Root}
	if list, err := c.Capsules(t.Context(), s.id); err != nil || len(list) != 2 ||
		list[1].Root != s.head() {
		t.Errorf("capsules %v, %v", list, err)
	}
	if m, err := c.Metadata(t.Context(), id); err != nil || m.Manifest.Name != "generation 0" {
		t.Errorf("metadata %v, %v", m, err)
	}
	if p, err := c.Proof(t.Context(), module.ID{Store: s.id},
		urn.RetrievalKey(s.id, "index.html")); err != nil || p.Root != s.head() {
		t.Errorf("proof %v, %v", p, err)
	}
	if p, err := c.ProofStatus(t.Context(), s.id, "x"); err != nil || p.Status != rpc.ProofNotFound {
		t.Errorf("status %v, %v", p, err)
	}
	if h, err := c.Health(t.Context()); err != nil || !h.OK {
		t.Errorf("health %v, %v", h, err)
	}
	if m, err := c.Methods(t.Context()); err != nil || len(m) != 11 {
		t.Errorf("methods %v, %v", m, err)
	}
	if _, err := c.Capsules(t.Context(), auth.StoreID{1}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown store: %v", err)
	}
}

func TestModuleFromEverywhere(t *testing.T) {
	s := newSite(t, 1, true)
	c := client(t, s, nil)
	mod := s.modules[0]
	id := module.ID{Store: s.id, Root: s.head()}
	for _, offset := range []int{0, 1, rpc.Block, rpc.MaxWindow + 1, len(mod) - 1, len(mod)} {
		r, err := c.Module(t.Context(), id, int64(offset))
		if got := readAll(t, r, err); !bytes.Equal(got, mod[offset:]) {
			t.Errorf("from %d: %d bytes, want %d", offset, len(got), len(mod)-offset)
		}
		if size := r.(interface{ Size() int64 }).Size(); size != int64(len(mod)) {
			t.Errorf("from %d: size %d", offset, size)
		}
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
	}
	if _, err := c.Module(t.Context(), id, int64(len(mod)+1)); !errors.Is(err, remote.ErrProtocol) {
		t.Errorf("a part that is longer than the whole: %v", err)
	}
	small := client(t, s, &rpc.ClientOptions{MaxModule: 1 << 20})
	if _, err := small.Module(t.Context(), id, 0); !errors.Is(err, remote.ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := c.Module(t.Context(), module.ID{Store: s.id},
		0); !errors.Is(err, remote.ErrUntrusted) {
		t.Errorf("without a root: %v", err)
	}
}

// A wire is a window as JSON, so that tests can remove members.
type wire map[string]any

// answering serves calls with f applied to the correct window.
func (s *site) answering(f func(n int, w wire) any) http.Handler {
	n := 0
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		kept := httptest.NewRecorder()
		s.handler.ServeHTTP(kept, r)
		var answer struct {
			ID     json.RawMessage `json:"id"`
			Result wire            `json:"result"`
			Err    *rpc.Error      `json:"error"`
		}
		dec := json.NewDecoder(kept.Body)
		dec.UseNumber()
		if err := dec.Decode(&answer); err != nil || answer.Err != nil {
			out.Write(kept.Body.Bytes())
			return
		}
		result := f(n, answer.Result)
		n++
		json.NewEncoder(out).Encode(map[string]any{"jsonrpc": "2.0", "id": answer.ID, "result": result})
	})
}

func (w wire) number(name string) int64 {
	n, _ := w[name].(json.Number).Int64()
	return n
}

// shorten removes bytes from the end of a window and keeps its members consistent.
func (w wire) shorten(to int) wire {
	var b []byte
	text, _ := json.Marshal(w["ciphertext"])
	json.Unmarshal(text, &b)
	w["ciphertext"], w["length"] = b[:to], to
	w["complete"], w["next_offset"] = false, w.number("offset")+int64(to)
	return w
}

// lies are wrong responses of an origin. n counts the windows from 0.
var lies = []struct {
	name string
	want error
	lie  func(n int, w wire) any
}{
	{"honest", nil, func(n int, w wire) any { return w }},
	{"short windows", nil, func(n int, w wire) any {
		if w["complete"] == false {
			return w.shorten(20*rpc.Block + 17)
		}
		return w
	}},
	{"the July node", nil, func(n int, w wire) any {
		for _, name := range []string{"total_length", "offset", "length", "program_hash"} {
			delete(w, name)
		}
		if w["complete"] == true {
			delete(w, "next_offset")
		}
		if n > 0 {
			delete(w, "inclusion_proof")
		}
		w["source"] = "local"
		return w
	}},
	{"a later node", nil, func(n int, w wire) any { delete(w, "program_hash"); return w }},
	{"the node of June", nil, func(n int, w wire) any { w["decoy"] = false; return w }},
	{"stalled", remote.ErrProtocol, func(n int, w wire) any {
		if n == 1 {
			return w.shorten(0)
		}
		return w
	}},
	{"repeats itself", remote.ErrProtocol, func() func(n int, w wire) any {
		var first wire
		return func(n int, w wire) any {
			if n == 0 {
				first = w
			}
			return first
		}
	}()},
	{"shrinks", remote.ErrProtocol, func(n int, w wire) any { w["total_length"] = w.number("total_length") - int64(n); return w }},
	{"grows", remote.ErrProtocol, func(n int, w wire) any { w["total_length"] = w.number("total_length") + int64(n); return w }},
	{"never ends", remote.ErrTooLarge, func(n int, w wire) any {
		delete(w, "total_length")
		delete(w, "offset")
		w["ciphertext"], w["length"], w["complete"] = make([]byte, rpc.MaxWindow), rpc.MaxWindow, false
		w["next_offset"] = (n + 1) * rpc.MaxWindow
		return w
	}},
	{"an endless total", remote.ErrTooLarge, func(n int, w wire) any { w["total_length"] = int64(1) << 60; return w }},
	{"a negative total", remote.ErrProtocol, func(n int, w wire) any { w["total_length"] = -1; return w }},
	{"lies about the length", remote.ErrProtocol, func(n int, w wire) any { w["length"] = w.number("length") + 1; return w }},
	{"begins too late", remote.ErrProtocol, func(n int, w wire) any { w["offset"] = w.number("offset") + rpc.Block; return w }},
	{"begins before everything", remote.ErrProtocol, func(n int, w wire) any { w["offset"] = -5; return w }},
	{"skips", remote.ErrProtocol, func(n int, w wire) any {
		if w["complete"] == false {
			w["next_offset"] = w.number("next_offset") + rpc.Block
		}
		return w
	}},
	{"nothing is next", remote.ErrProtocol, func(n int, w wire) any { w["next_offset"] = nil; return w }},
	{"complete too early", remote.ErrProtocol, func(n int, w wire) any { w["complete"], w["next_offset"] = true, nil; return w }},
	{"complete, and something is next", remote.ErrProtocol, func(n int, w wire) any { w["complete"] = true; return w }},
	{"another root", remote.ErrVerification, func(n int, w wire) any { w["root"] = merkle.Hash{1}; return w }},
	{"another root later", remote.ErrVerification, func(n int, w wire) any {
		if n > 0 {
			w["root"] = merkle.Hash{1}
		}
		return w
	}},
	{"no window", remote.ErrProtocol, func(n int, w wire) any { return []int{1} }},
	{"no base64", remote.ErrProtocol, func(n int, w wire) any { w["ciphertext"] = "*"; return w }},
	{"a number for a root", remote.ErrProtocol, func(n int, w wire) any { w["root"] = 1; return w }},
}

// TestLyingWindows reads a module and a resource through each of lies. What the client accepts is
// correct.
func TestLyingWindows(t *testing.T) {
	s := newSite(t, 1, true)
	for _, tc := range lies {
		t.Run(tc.name, func(t *testing.T) {
			o := &rpc.ClientOptions{MaxModule: 5 << 20, MaxContent: 5 << 20}
			c := client(t, s.answering(tc.lie), o)
			var got []byte
			r, err := c.Module(t.Context(), module.ID{Store: s.id, Root: s.head()}, 0)
			if err == nil {
				got, err = io.ReadAll(r)
				r.Close()
			}
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) ||
				err == nil && !bytes.Equal(got, s.modules[0]) {
				t.Errorf("module: %d bytes, %v; want %v", len(got), err, tc.want)
			}
			c = client(t, s.answering(tc.lie), o)
			got, err = c.Read(t.Context(), s.urn("large.bin", s.head()))
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) ||
				err == nil && !bytes.Equal(got, files(0)["large.bin"].Data) {
				t.Errorf("resource: %d bytes, %v; want %v", len(got), err, tc.want)
			}
		})
	}
}

// TestLyingContents changes the members of the windows of a resource.
func TestLyingContents(t *testing.T) {
	s := newSite(t, 2, false)
	for _, tc := range []struct {
		name string
		want error
		lie  func(n int, w wire) any
	}{
		{"no proof", remote.ErrVerification, func(n int, w wire) any { w["inclusion_proof"] = nil; return w }},
		{"an empty proof", remote.ErrVerification, func(n int, w wire) any { w["inclusion_proof"] = ""; return w }},
		{"a flipped bit", remote.ErrVerification, func(n int, w wire) any { return flip(w, "ciphertext") }},
		{"a flipped bit of the proof", remote.ErrVerification, func(n int, w wire) any { return flip(w, "inclusion_proof") }},
		{"a decoy that says so", fs.ErrNotExist, func(n int, w wire) any { w["decoy"] = true; return w }},
		{"no chunk lengths", nil, func(n int, w wire) any { delete(w, "chunk_lens"); return w }},
		{"chunk lengths that do not add up", remote.ErrVerification, func(n int, w wire) any { w["chunk_lens"] = []uint32{1 << 31, 1 << 31}; return w }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := client(t, s.answering(tc.lie), nil).Read(t.Context(), s.urn("index.html", s.head()))
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || (err == nil) != (got != nil) {
				t.Errorf("%q, %v; want %v", got, err, tc.want)
			}
		})
	}
	// The response of another generation, with the requested root.
	other := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		swapped := strings.Replace(string(body), s.heads[1].Root.String(), s.heads[0].Root.String(), 1)
		kept := post(s.handler, swapped)
		io.WriteString(w,
			strings.Replace(kept.Body.String(), s.heads[0].Root.String(), s.heads[1].Root.String(), 1))
	})
	if got, err := client(t, other, nil).Read(t.Context(),
		s.urn("index.html", s.head())); !errors.Is(err, remote.ErrVerification) {
		t.Errorf("another generation's: %q, %v", got, err)
	}
}

func flip(w wire, name string) wire {
	var b []byte
	text, _ := json.Marshal(w[name])
	json.Unmarshal(text, &b)
	b[len(b)/2] ^= 1
	w[name] = b
	return w
}

// TestAnswersThatAreNone: error statuses, malformed envelopes and failing transports.
func TestAnswersThatAreNone(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request)
		want   error
	}{
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1/other", http.StatusFound)
		}, remote.ErrProtocol},
		{"not found", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, fs.ErrNotExist},
		{"no JSON", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, remote.ErrProtocol},
		{"another id", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"jsonrpc":"2.0","id":99,"result":{"ok":true}}`)
		}, remote.ErrProtocol},
		{"no result", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"jsonrpc":"2.0","id":1}`) }, remote.ErrProtocol},
		{"compressed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "x")
		}, remote.ErrProtocol},
		{"too long", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 8<<20+1)) }, remote.ErrTooLarge},
		{"not here", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32004,"message":"no"}}`)
		}, fs.ErrNotExist},
		{"not on the chain", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"no"}}`)
		}, remote.ErrVerification},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := client(t, http.HandlerFunc(tc.answer),
				nil).Health(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestRetries: temporary errors are retried, others are not.
func TestRetries(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		calls  int
	}{
		{"busy", func(w http.ResponseWriter) { w.Header().Set("Retry-After", "2"); w.WriteHeader(429) }, 3},
		{"bad gateway", func(w http.ResponseWriter) { w.WriteHeader(502) }, 3},
		{"limited", func(w http.ResponseWriter) {
			io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"later"}}`)
		}, 3},
		{"params", func(w http.ResponseWriter) {
			io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`)
		}, 1},
		{"forbidden", func(w http.ResponseWriter) { w.WriteHeader(403) }, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, waits := 0, time.Duration(0)
				c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					calls++
					tc.answer(w)
				}),
					&rpc.ClientOptions{Attempts: 3, OnRetry: func(_ error, wait time.Duration) { waits += wait }})
				if _, err := c.Health(t.Context()); err == nil || calls != tc.calls {
					t.Errorf("%d calls, %v; want %d", calls, err, tc.calls)
				}
				if tc.name == "busy" && waits != 4*time.Second {
					t.Errorf("waited %v, the origin asked for 4 s", waits)
				}
			})
		})
	}
}

// TestSilence: an origin that stops sending fails after a minute.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"jsonrpc"`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		start := time.Now()
		if _, err := client(t, h, nil).Health(t.Context()); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// TestCloneOfWhatIsTooLarge clones from a server that refuses a module by GET, and from one whose
// HEAD reports a large size. An interrupted clone resumes.
func TestCloneOfWhatIsTooLarge(t *testing.T) {
	s := newSite(t, 1, true)
	gets := 0
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/module") {
			gets++
		}
		s.ServeHTTP(w, r)
	})
	trust := remote.Trust{Publisher: s.publisher.PublicKey()}
	for _, limit := range []int64{0, 1 << 20} {
		origin := remotetest.NewOrigin(counted)
		gets = 0
		c, err := origin.Client(s.id,
			&remote.ClientOptions{WindowFetcher: rpc.WindowFetcher{}, InlineLimit: limit, Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		here := remotetest.NewMemory(s.id, nil)
		if _, err := remote.Clone(t.Context(), here, c, trust); err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
		r, err := here.Module(t.Context(), s.head())
		if got := readAll(t, r, err); !bytes.Equal(got, s.modules[0]) {
			t.Errorf("limit %d: not the module", limit)
		}
		if want := map[bool]int{true: 1, false: 0}[limit == 0]; gets != want {
			t.Errorf("limit %d: %d modules were asked for by GET, want %d", limit, gets, want)
		}
		part, start, err := c.ModuleFrom(t.Context(), s.head(), 1_000_001)
		if got := readAll(t, part, err); start != 1_000_001 || !bytes.Equal(got, s.modules[0][start:]) {
			t.Errorf("limit %d: from %d: %d bytes", limit, start, len(got))
		}
		c.Close()
		origin.Close()
	}
}

// TestCloneFromLiars: a module read in windows is verified like any other.
func TestCloneFromLiars(t *testing.T) {
	s := newSite(t, 1, true)
	for _, tc := range []struct {
		name string
		lie  func(n int, w wire) any
		want error
	}{
		{"a flipped bit", func(n int, w wire) any { return flip(w, "ciphertext") }, remote.ErrVerification},
		{"shrinks", func(n int, w wire) any { w["total_length"] = w.number("total_length") - int64(n); return w }, remote.ErrProtocol},
	} {
		t.Run(tc.name, func(t *testing.T) {
			liar := s.answering(tc.lie)
			origin := remotetest.NewOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/stores/") {
					s.server.ServeHTTP(w, r)
					return
				}
				liar.ServeHTTP(w, r)
			}))
			defer origin.Close()
			c, err := origin.Client(s.id, &remote.ClientOptions{WindowFetcher: rpc.WindowFetcher{},
				Attempts: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			here := remotetest.NewMemory(s.id, nil)
			sync := remote.Sync{Trust: remote.Trust{Publisher: s.publisher.PublicKey()}, Attempts: 1}
			if _, err := sync.Clone(t.Context(), here, c); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if head, _ := here.Head(t.Context()); !head.Root.IsZero() {
				t.Error("something is there")
			}
		})
	}
}

// FuzzWindows gives a client arbitrary windows.
func FuzzWindows(f *testing.F) {
	s := newSite(f, 1, false)
	var answer []byte
	c := client(f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			ID json.RawMessage `json:"id"`
		}
		json.NewDecoder(r.Body).Decode(&asked)
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, asked.ID, answer)
	}), &rpc.ClientOptions{MaxModule: 1 << 20, MaxContent: 1 << 20})
	f.Add([]byte(`{"ciphertext":"AAAA","total_length":3,"offset":0,"length":3,"complete":true,"next_offset":null,"inclusion_proof":"","chunk_lens":[3]}`))
	f.Add([]byte(`{"ciphertext":"AAAA","complete":false,"next_offset":3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer = body
		if got, err := c.Read(t.Context(), s.urn("index.html", s.head())); err == nil {
			t.Errorf("believed %q", got)
		}
		r, err := c.Module(t.Context(), module.ID{Store: s.id, Root: s.head()}, 0)
		if err == nil {
			n, _ := io.Copy(io.Discard, r)
			r.Close()
			if n > 1<<20 {
				t.Errorf("%d bytes, at most 1 MiB are read", n)
			}
		}
	})
}
