package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

const (
	badSignature = "push not authorized: bad BLS signature"
	conflict     = "non-fast-forward push"
	invalid      = "module failed validation: "
)

// next builds the generation after the site's head.
func (s *site) next() ([]byte, auth.SignedRoot) { return s.build(s.id, s.publisher, len(s.heads)) }

func del(name string) header { return func(r *http.Request) { r.Header.Del(name) } }

func query(q string) header { return func(r *http.Request) { r.URL.RawQuery = q } }

func TestPush(t *testing.T) {
	var (
		s         = newSite(t, 2, nil)
		parent    = s.head().Root
		mod, head = s.next()
		stranger  = key(0x11)
		_, forged = s.build(s.id, stranger, 2)
		foreign   = s.heads[0].Untagged.String() // a good signature, of another root
	)
	forged.Root = head.Root
	later := merkle.Sum([]byte("a parent that is not the head")).String()
	for _, tc := range []struct {
		name    string
		headers []header
		status  int
		body    string
	}{
		{"no root", []header{query(""), del("X-Dig-Root")}, 422, invalid + "missing root"},
		{"malformed root", []header{query("root=xyz"), del("X-Dig-Root")}, 422, invalid + "malformed root"},
		{"two roots", []header{query("root=" + later)}, 422, invalid + "query and header name different roots"},
		{"root given twice", []header{query("root=" + later + "&root=" + later), del("X-Dig-Root")}, 422, invalid + "malformed root"},
		{"zero root", []header{query("root=" + strings.Repeat("0", 64)), del("X-Dig-Root")}, 422, invalid + "malformed root"},
		{"no parent", []header{del("X-Dig-Parent")}, 422, invalid + "missing parent"},
		{"malformed parent", []header{set("X-Dig-Parent", "12")}, 422, invalid + "malformed parent"},
		{"unknown mode", []header{set("X-Dig-Push-Mode", "Advance")}, 422, invalid + "unknown push mode"},
		{"no signature", []header{del("X-Dig-Signature")}, 422, invalid + "missing signature"},
		{"malformed signature", []header{set("X-Dig-Signature", "ab")}, 422, invalid + "malformed signature"},
		{"signature twice", []header{func(r *http.Request) { r.Header.Add("X-Dig-Signature", head.Tagged.String()) }}, 422, invalid + "malformed signature"},
		{"malformed tagged signature", []header{set("X-Dig-Signature-Tagged", "ab")}, 422, invalid + "malformed tagged signature"},
		{"signature of another root", []header{set("X-Dig-Signature", foreign)}, 403, badSignature},
		{"signature by a stranger", []header{pushHeaders(forged, parent)}, 403, badSignature},
		{"tagged one by a stranger", []header{set("X-Dig-Signature-Tagged", forged.Tagged.String())}, 403, badSignature},
		{"untagged form as the tagged one", []header{set("X-Dig-Signature-Tagged", head.Untagged.String())}, 403, badSignature},
		{"not a point", []header{set("X-Dig-Signature", strings.Repeat("ff", 96))}, 403, badSignature},
		{"parent is not the head", []header{set("X-Dig-Parent", later)}, 409, conflict},
		{"parent is an older root", []header{set("X-Dig-Parent", s.heads[0].Root.String())}, 409, conflict},
		{"parent is none", []header{set("X-Dig-Parent", strings.Repeat("0", 64))}, 409, conflict},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := &touched{}
			res := s.do("PUT", s.path("/module?root="+head.Root.String()), body,
				append([]header{pushHeaders(head, parent)}, tc.headers...)...)
			want(t, res, tc.status, tc.body)
			if body.read {
				t.Error("the body was read before the headers had passed")
			}
		})
	}
	want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[1])) // nothing has changed

	res := s.put(head, parent, mod)
	want(t, res, 201, "")
	if got := res.Header.Get("ETag"); got != `"`+head.Root.String()+`"` {
		t.Errorf("ETag %s", got)
	}
	want(t, s.do("GET", s.path("/module"), nil), 200, string(mod))

	t.Run("the head again", func(t *testing.T) {
		res := s.put(head, merkle.Hash{7}, mod)
		want(t, res, 200, "")
		if res.Header.Get("ETag") == "" {
			t.Error("no ETag")
		}
	})
	t.Run("an older root on top", func(t *testing.T) {
		want(t, s.put(s.heads[0], head.Root, s.modules[0]), 409, conflict)
	})
	if gens, _ := s.memory.Generations(t.Context()); len(gens) != 3 || gens[2].Time != s.now() {
		t.Errorf("history %v", gens)
	}
}

// touched is a body that must not be read.
type touched struct{ read bool }

func (b *touched) Read([]byte) (int, error) { b.read = true; return 0, io.EOF }

func TestPushForms(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers func(auth.SignedRoot) []header
		forms   func(auth.SignedRoot) auth.SignedRoot
	}{
		{"both", func(auth.SignedRoot) []header { return nil }, func(r auth.SignedRoot) auth.SignedRoot { return r }},
		{"seed form", func(auth.SignedRoot) []header { return []header{del("X-Dig-Signature-Tagged")} },
			func(r auth.SignedRoot) auth.SignedRoot { r.Tagged = auth.Signature{}; return r }},
		{"tagged form", func(r auth.SignedRoot) []header {
			return []header{del("X-Dig-Signature-Tagged"), set("X-Dig-Signature", r.Tagged.String())}
		}, func(r auth.SignedRoot) auth.SignedRoot { r.Untagged = auth.Signature{}; return r }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t, 1, nil)
			mod, head := s.next()
			want(t, s.put(head, s.head().Root, mod, tc.headers(head)...), 201, "")
			kept, err := s.memory.Head(t.Context())
			if err != nil || kept != tc.forms(head) {
				t.Errorf("kept %+v, %v", kept, err)
			}
			var d struct {
				Sig      string  `json:"push_sig"`
				Untagged *string `json:"push_sig_untagged"`
			}
			if err := json.NewDecoder(s.do("GET", s.path(""), nil).Body).Decode(&d); err != nil {
				t.Fatal(err)
			}
			sig := kept.Tagged
			if sig.IsZero() {
				sig = kept.Untagged
			}
			if d.Sig != sig.String() || (d.Untagged == nil) != kept.Untagged.IsZero() {
				t.Errorf("descriptor %+v", d)
			}
		})
	}
}

func TestPushOfAWrongModule(t *testing.T) {
	s := newSite(t, 1, nil)
	mod, head := s.next()
	flip := func(at int) []byte {
		b := bytes.Clone(mod)
		b[at] ^= 1
		return b
	}
	foreign, _ := s.build(auth.StoreID{9}, s.publisher, 1)
	rekeyed, _ := s.build(s.id, key(0x11), 1)
	for _, tc := range []struct {
		name string
		mod  []byte
		text string
	}{
		{"another generation", s.modules[0], "root does not match"},
		{"another store", foreign, "store id does not match path"},
		{"another key", rekeyed, "public key is not the store's"},
		{"empty", nil, "not a valid module"},
		{"noise", bytes.Repeat([]byte("noise"), 1000), "not a valid module"},
		{"truncated", mod[:len(mod)-100], "not a valid module"},
		{"bytes behind", append(bytes.Clone(mod), 1, 2, 3), "not a valid module"},
		{"first byte", flip(0), "not a valid module"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want(t, s.put(head, s.head().Root, tc.mod), 422, invalid+tc.text)
		})
	}
	t.Run("every kind of damage", func(t *testing.T) {
		for at := 0; at < len(mod); at += 97 {
			res := s.put(head, s.head().Root, flip(at))
			if res.StatusCode == 201 {
				// The root and the keys do not cover code, metadata and filler.
				s = newSite(t, 1, nil)
				continue
			}
			if res.StatusCode != 422 {
				t.Fatalf("byte %d: %d", at, res.StatusCode)
			}
			want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0]))
		}
	})
}

func TestPushTooLarge(t *testing.T) {
	s := newSite(t, 1, &server.Options{MaxModule: 1 << 20})
	_, head := s.next()
	hs := pushHeaders(head, s.head().Root)
	declared := s.request("PUT", s.path("/module?root="+head.Root.String()), &touched{}, hs)
	declared.ContentLength = 1 << 40
	want(t, s.answer(declared), 413, "module too large: 1099511627776 bytes")

	unknown := s.request("PUT", s.path("/module?root="+head.Root.String()), endless(), hs)
	unknown.ContentLength = -1
	want(t, s.answer(unknown), 413, "module too large: 1048577 bytes")
}

// endless returns a module whose first section is a custom one of 1 GiB, so that only the limit
// refuses it.
func endless() io.Reader {
	return io.MultiReader(strings.NewReader("\x00asm\x01\x00\x00\x00\x00\x80\x80\x80\x80\x04"),
		zeros{})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestPushRace(t *testing.T) {
	s := newSite(t, 1,
		&server.Options{Limits: server.Limits{UploadsPerStore: 100, Uploads: 100, UploadsPerAddress: 100,
			UploadsPerIdentity: 100}})
	parent := s.head().Root
	type entry struct {
		mod  []byte
		head auth.SignedRoot
	}
	var entries []entry
	for n := range 6 {
		mod, head := s.build(s.id, s.publisher, 10+n/2) // each twice
		entries = append(entries, entry{mod, head})
	}
	codes := make([]int, len(entries))
	var wg sync.WaitGroup
	for i, e := range entries {
		r := s.request("PUT", s.path("/module?root="+e.head.Root.String()), bytes.NewReader(e.mod),
			pushHeaders(e.head, parent))
		wg.Go(func() { codes[i] = s.answer(r).StatusCode })
	}
	wg.Wait()
	count := map[int]int{}
	for _, c := range codes {
		count[c]++
	}
	if count[201] != 1 || count[201]+count[200]+count[409] != len(codes) || count[200] > 1 {
		t.Fatalf("answers %v: want one 201, its twin 200 or 409, the rest 409", codes)
	}
	gens, err := s.memory.Generations(t.Context())
	if err != nil || len(gens) != 2 {
		t.Fatalf("history %v, %v", gens, err)
	}
}

func initBody(t *testing.T, members map[string]any) io.Reader {
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

func TestPushInit(t *testing.T) {
	s := newSite(t, 1, nil)
	mod, head := s.next()
	hash := sha256.Sum256(mod)
	good := func(change func(map[string]any)) io.Reader {
		m := map[string]any{"parent_root": s.head().Root.String(), "new_root": head.Root.String(),
			"program_hash": hex.EncodeToString(hash[:]), "size_bytes": len(mod),
			"store_pubkey": s.publisher.PublicKey().String(), "an_unknown_member": true}
		if change != nil {
			change(m)
		}
		return initBody(t, m)
	}
	up, hs := s.path("/module/upload"), pushHeaders(head, s.head().Root)
	bare := s.path("/module?root=" + head.Root.String())
	noParent := []header{hs, del("X-Dig-Parent")}
	inline := `{"mode":"inline","upload_id":"` + head.Root.String() + `"}`

	for _, tc := range []struct {
		name   string
		body   io.Reader
		hs     []header
		status int
		text   string
	}{
		{"no JSON", strings.NewReader("{"), []header{hs}, 422, invalid + "bad push-init body"},
		{"wrong types", strings.NewReader(`{"new_root":1}`), []header{hs}, 422, invalid + "bad push-init body"},
		{"negative size", good(func(m map[string]any) { m["size_bytes"] = -1 }), []header{hs}, 422, invalid + "bad push-init body"},
		{"no root", good(func(m map[string]any) { delete(m, "new_root") }), []header{hs}, 422, invalid + "malformed new_root"},
		{"bad parent", good(func(m map[string]any) { m["parent_root"] = "x" }), []header{hs}, 422, invalid + "malformed parent_root"},
		{"bad hash", good(func(m map[string]any) { m["program_hash"] = "x" }), []header{hs}, 422, invalid + "malformed program_hash"},
		{"bad key", good(func(m map[string]any) { m["store_pubkey"] = "x" }), []header{hs}, 422, invalid + "malformed store_pubkey"},
		{"no signature", good(nil), []header{hs, del("X-Dig-Signature")}, 422, invalid + "missing signature"},
		{"too large", good(func(m map[string]any) { m["size_bytes"] = int64(1) << 40 }), []header{hs}, 413, "module too large: 1099511627776 bytes"},
		{"over 1 GiB", good(func(m map[string]any) { m["size_bytes"] = 1<<30 + 1 }), []header{hs}, 413, "module too large: 1073741825 bytes"},
		{"body too large", bytes.NewReader(make([]byte, 3<<20)), []header{hs}, 413, "body too large: over 2097152 bytes"},
		{"stranger", good(nil), []header{hs, set("X-Dig-Signature", s.head().Untagged.String())}, 403, badSignature},
		{"empty parent", good(func(m map[string]any) { m["parent_root"] = "" }), []header{hs}, 409, conflict},
		{"stale parent", good(func(m map[string]any) { m["parent_root"] = strings.Repeat("1", 64) }), []header{hs}, 409, conflict},
		{"old root", good(func(m map[string]any) { m["new_root"] = s.head().Root.String() }), []header{pushHeaders(s.head(), merkle.Hash{})}, 200,
			`{"mode":"inline","status":"advanced","upload_id":"` + s.head().Root.String() + `"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want(t, s.do("POST", up, tc.body, tc.hs...), tc.status, tc.text)
		})
	}
	want(t, s.do("PUT", bare, bytes.NewReader(mod), noParent...), 422, invalid+"missing parent")

	t.Run("what was announced is held to", func(t *testing.T) {
		want(t, s.do("POST", up, good(func(m map[string]any) { m["size_bytes"] = 1 << 30 }), hs), 200,
			inline)
		want(t, s.do("POST", up, good(func(m map[string]any) { m["size_bytes"] = 5 }), hs), 200, inline)
		want(t, s.do("PUT", bare, bytes.NewReader(mod), noParent...), 422,
			invalid+"size does not match push-init")
		want(t,
			s.do("POST", up, good(func(m map[string]any) { m["program_hash"] = strings.Repeat("5", 64) }),
				hs), 200, inline)
		want(t, s.do("PUT", bare, bytes.NewReader(mod), noParent...), 422,
			invalid+"program hash does not match push-init")
	})
	t.Run("another identity announced nothing", func(t *testing.T) {
		want(t, s.do("POST", up, good(nil), hs), 200, inline)
		r := s.request("PUT", bare, bytes.NewReader(mod),
			append(noParent, func(r *http.Request) { s.sign(r, key(0x64)) })...)
		want(t, s.answer(r), 422, invalid+"missing parent")
	})
	t.Run("after a quarter of an hour", func(t *testing.T) {
		s.clock.Add(int64(15*time.Minute/time.Second) + 1)
		want(t, s.do("PUT", bare, bytes.NewReader(mod), noParent...), 422, invalid+"missing parent")
	})
	want(t, s.do("POST", up, good(nil), hs), 200, inline)
	want(t, s.do("PUT", bare, bytes.NewReader(mod), noParent...), 201, "")
	want(t, s.do("POST", s.path("/module/complete"), strings.NewReader("{}"), hs), 422,
		invalid+"this node serves inline uploads; PUT the module to /module?root= instead")
}

func TestPending(t *testing.T) {
	s := newSite(t, 1, nil)
	parent := s.head().Root
	pending := set("X-Dig-Push-Mode", "pending")
	var heads []auth.SignedRoot
	for n := range 3 {
		mod, head := s.build(s.id, s.publisher, 10+n)
		res := s.put(head, parent, mod, pending)
		want(t, res, 202, "")
		if res.Header.Get("ETag") != "" {
			t.Error("ETag on 202")
		}
		want(t, s.do("GET", s.path("/module?root="+head.Root.String()), nil), 404, "unknown root")
		heads = append(heads, head)
		s.clock.Add(1)
	}
	want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0]))
	all, err := s.stores.Pending(t.Context(), s.id)
	if err != nil || len(all) != 2 || all[0].Root != heads[1].Root || all[1].Root != heads[2].Root {
		t.Fatalf("pending %v, %v: want the two newest", all, err)
	}
	if err := s.server.Promote(t.Context(), s.id, heads[0].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("promote what was replaced: %v", err)
	}
	if err := s.server.Promote(t.Context(), s.id, heads[2].Root); err != nil {
		t.Fatal(err)
	}
	want(t, s.do("GET", s.path("/module?root="+heads[2].Root.String()), nil), 200, "*")
	if head, _ := s.memory.Head(t.Context()); head != heads[2] {
		t.Errorf("head %v", head)
	}
	if err := s.server.Promote(t.Context(), s.id,
		heads[1].Root); !errors.Is(err, remote.ErrNonFastForward) {
		t.Errorf("promote on another parent: %v", err)
	}
	mod, head := s.build(s.id, s.publisher, 20)
	want(t, s.put(head, heads[2].Root, mod, pending), 202, "")
	s.clock.Add(25 * 3600)
	if err := s.server.Promote(t.Context(), s.id, head.Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("promote after a day: %v", err)
	}
	want(t, s.put(head, heads[2].Root, mod, pending), 202, "")
	want(t, s.put(head, heads[2].Root, mod), 201, "") // the client's way to promote

	s.serve(struct {
		server.Backend
		server.Receiver
	}{s.stores, s.stores}, nil)
	want(t, s.put(head, heads[2].Root, mod, pending), 422, invalid+"pending pushes are not taken here")
	if err := s.server.Promote(t.Context(), s.id, head.Root); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("promote without a Promoter: %v", err)
	}
}

// lossy is a backend that has lost its files.
type lossy struct{ *remotetest.Stores }

func (lossy) Receive(context.Context, module.Push, io.Reader,
	func(*module.Module) error) error {
	return fmt.Errorf("open pack: %w", fs.ErrNotExist)
}

// keyless is a backend that has generations and no key.
type keyless struct{ *remotetest.Stores }

func (b keyless) Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error) {
	r, err := b.Stores.Head(ctx, s)
	return auth.SignedRoot{Store: r.Store, Root: r.Root}, err
}

func TestPushToABackendInNeed(t *testing.T) {
	s := newSite(t, 1, nil)
	mod, head := s.next()
	s.serve(lossy{s.stores}, nil)
	want(t, s.put(head, s.head().Root, mod), 500, "internal server error")
	s.serve(keyless{s.stores}, &server.Options{Policy: server.TrustOnFirstUse{},
		Credential: server.Credentials{"push": "sesame"}.Check})
	want(t, s.put(head, s.head().Root, mod, bearer("sesame")), 403,
		"push not authorized: no key is known for this store")
}
