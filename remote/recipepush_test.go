package remote_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// pushed returns a site with generation 0 of n files, its listener, and the store that pushed it,
// which has published generation 1 since.
func pushed(t testing.TB, n int) (*site, *line, *remotetest.Memory) {
	t.Helper()
	from := newSite(t, 0, nil)
	from.grow(n, 0)
	s := newSite(t, 0, nil)
	s.stores = remotetest.NewStores(s.now)
	s.serve(s.stores, &server.Options{Policy: server.TrustOnFirstUse{}})
	l := s.listen()
	if _, err := remote.Push(t.Context(), s.client(l, nil), from.memory); err != nil {
		t.Fatal(err)
	}
	from.grow(n, 1)
	s.memory, s.heads = from.memory, from.heads
	l.requests()
	return s, l, from.memory
}

// TestPushRecipe compares the bytes of a push with the size of the changed chunks.
func TestPushRecipe(t *testing.T) {
	s, l, local := pushed(t, 400)
	var m meter
	var done, total int64
	p := remote.Pusher{Progress: func(_ merkle.Hash, d, n int64) { done, total = d, n }}
	report, err := p.Push(t.Context(), s.client(l, &remote.ClientOptions{Dial: m.dial}), local)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "requests", l.requests(), []string{"GET", "PUT /module"})
	sameModule(t, local, s.there(), s.head().Root)
	delta := changed(s.recipe(0), s.recipe(1))
	if got, most := m.bytes.Load(), delta+delta/5+64<<10; got > most || report.Sent > got ||
		report.Sent < delta {
		t.Errorf("%d bytes on the wire for %d of changed chunks, want at most %d; report says %d", got,
			delta, most, report.Sent)
	}
	if done != report.Sent || total != report.Sent || report.Bytes != s.recipe(1).Size() {
		t.Errorf("progress %d of %d, report %+v", done, total, report)
	}
	head, err := s.there().Head(t.Context())
	if want, werr := local.Head(t.Context()); err != nil || werr != nil || head != want {
		t.Errorf("head there %+v, want %+v", head, want)
	}
}

// TestPromote checks that a pending generation becomes the head at the cost of a recipe without
// differences.
func TestPromote(t *testing.T) {
	s, l, local := pushed(t, 400)
	var m meter
	c := s.client(l, &remote.ClientOptions{Dial: m.dial})
	p := remote.Pusher{Pending: true}
	report, err := p.Push(t.Context(), c, local)
	if err != nil || !report.Pending || headOf(t, s.there()) != s.heads[0].Root {
		t.Fatalf("pending: %+v, %v", report, err)
	}
	m.bytes.Store(0)
	report, err = p.Promote(t.Context(), c, local, merkle.Hash{})
	if err != nil || report.Pending || report.Root != s.head().Root ||
		headOf(t, s.there()) != s.head().Root {
		t.Fatalf("promote: %+v, %v", report, err)
	}
	if got := m.bytes.Load(); got > 8<<10 || report.Sent > 200 {
		t.Errorf("%d bytes on the wire, %d of them a body", got, report.Sent)
	}
	sameModule(t, local, s.there(), s.head().Root)
	if report, err = p.Promote(t.Context(), c, local, merkle.Hash{}); err != nil || !report.UpToDate {
		t.Errorf("again: %+v, %v", report, err)
	}

	// A generation that is no longer pending is pushed like a new one.
	s.grow(400, 2)
	if report, err = p.Promote(t.Context(), c, local, s.head().Root); err != nil ||
		headOf(t, s.there()) != s.head().Root {
		t.Errorf("not pending: %+v, %v", report, err)
	}
	if _, err := p.Promote(t.Context(), c, local, merkle.Hash{5}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a root that is not here: %v", err)
	}
}

// TestPushRecipeWhole checks every reason for sending the whole module.
func TestPushRecipeWhole(t *testing.T) {
	forget := func(s *site) { // the origin no longer has the recipe of its head
		s.serve(forgetful{s.stores}, nil)
	}
	for _, tc := range []struct {
		name    string
		server  func(*site)
		local   func(*remotetest.Memory) remote.Local
		instead func(http.ResponseWriter, *http.Request, string) bool
		want    []string
	}{
		{"the server knows no recipes", func(s *site) { s.serve(plainBackend{s.stores, s.stores, s.stores}, nil) }, nil, nil,
			[]string{"GET", "POST /module/upload", "PUT /module"}},
		{"the client knows no recipes", nil, func(m *remotetest.Memory) remote.Local { return plainLocal{m} }, nil,
			[]string{"GET", "POST /module/upload", "PUT /module"}},
		{"the base is not there", forget, nil, nil,
			[]string{"GET", "PUT /module", "POST /module/upload", "PUT /module"}},
		{"a proxy takes no such type", nil, nil, func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if strings.Contains(r.Header.Get("Content-Type"), "recipe") {
				w.WriteHeader(http.StatusUnsupportedMediaType)
				return true
			}
			return false
		}, []string{"GET", "PUT /module", "POST /module/upload", "PUT /module"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, l, m := pushed(t, 100)
			if tc.server != nil {
				tc.server(s)
			}
			l.instead = tc.instead
			var local remote.Local = m
			if tc.local != nil {
				local = tc.local(m)
			}
			report, err := (&remote.Pusher{Signer: s.publisher}).Push(t.Context(), s.client(l, nil), local)
			if err != nil || report.Sent != report.Bytes {
				t.Fatalf("%+v, %v", report, err)
			}
			equal(t, "requests", l.requests(), tc.want)
			sameModule(t, m, s.there(), s.head().Root)
		})
	}
}

// forgetful is a backend that has no recipes.
type forgetful struct{ *remotetest.Stores }

func (forgetful) Recipe(context.Context, auth.StoreID, merkle.Hash) (*module.Recipe, error) {
	return nil, fs.ErrNotExist
}

// RecipeBody encodes the body of a push by recipe, as in RECIPES.md.
func recipeBody(t testing.TB, r, base *module.Recipe, src *remotetest.Memory) []byte {
	t.Helper()
	pack, err := wire.PackRecipe(r, base)
	if err != nil {
		t.Fatal(err)
	}
	body := append(binary.BigEndian.AppendUint32(nil, uint32(len(pack))), pack...)
	m, err := src.Module(t.Context(), r.Root())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	have := map[merkle.Hash]bool{}
	for _, c := range base.Pool() {
		have[c.ID] = true
	}
	places := r.Offsets()
	for i, c := range r.Pool() {
		if have[c.ID] {
			continue
		}
		sealed := make([]byte, c.Len)
		if _, err := m.(interface {
			ReadAt([]byte, int64) (int, error)
		}).ReadAt(sealed, places[i]); err != nil {
			t.Fatal(err)
		}
		body = append(body, sealed...)
	}
	return body
}

// putRecipe pushes the newest generation by its recipe.
func (s *site) putRecipe(body []byte, hs ...header) *http.Response {
	hs = append([]header{set("Content-Type", "application/vnd.dig.recipe"),
		set("X-Dig-Recipe-Base", s.heads[0].Root.String())}, hs...)
	return s.put(s.head(), s.heads[0].Root, body, hs...)
}

// TestPutRecipe checks the answers to a PUT of a recipe. A refusal leaves the head unchanged.
func TestPutRecipe(t *testing.T) {
	s, _, local := pushed(t, 60)
	one, two := s.recipe(0), s.recipe(1)
	good := recipeBody(t, two, one, local)
	wrongIDs, wrongLengths, wrongSize := s.lyingRecipes()
	replaced := func(r *module.Recipe) []byte {
		pack, err := wire.PackRecipe(r, one)
		if err != nil {
			t.Fatal(err)
		}
		rest := good[4+binary.BigEndian.Uint32(good):]
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(pack))), pack...), rest...)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	bomb := bytes.Clone(good)
	binary.BigEndian.PutUint32(bomb[4+48:], 1<<31)
	long := bytes.Clone(good)
	binary.BigEndian.PutUint32(long, 1<<31)
	mod := bytes.Repeat([]byte("no recipe"), 100)
	const form = "module failed validation: not a recipe and its chunks"
	for _, tc := range []struct {
		name   string
		body   []byte
		head   header
		status int
		text   string
	}{
		{"no base", good, del("X-Dig-Recipe-Base"), 422, "module failed validation: missing or malformed recipe base"},
		{"two bases", good, set("X-Dig-Recipe-Base", s.heads[0].Root.String()+", "+s.heads[0].Root.String()), 422, "module failed validation: missing or malformed recipe base"},
		{"a base that is not here", good, set("X-Dig-Recipe-Base", merkle.Hash{1}.String()), 412, "recipe base is not here: send the module"},
		{"the root itself, which is not pending", good, set("X-Dig-Recipe-Base", s.head().Root.String()), 412, "recipe base is not here: send the module"},
		{"another parent", good, set("X-Dig-Parent", merkle.Hash{1}.String()), 409, "non-fast-forward push"},
		{"another signature", good, set("X-Dig-Signature", s.heads[0].Untagged.String()), 403, "*"},
		{"nothing", nil, nil, 422, "module failed validation: the body ends before the last chunk"},
		{"a module", mod, nil, 422, form},
		{"cut in the recipe", good[:90], nil, 422, "module failed validation: the body ends before the last chunk"},
		{"a chunk missing", good[:len(good)-10], nil, 422, form},
		{"more than the chunks", append(bytes.Clone(good), 0), nil, 422, form},
		{"a chunk of other bytes", flipped, nil, 422, "module failed validation: content does not match root"},
		{"a bomb", bomb, nil, 422, form},
		{"a recipe that never ends", long, nil, 422, form},
		{"recipe of the base", recipeBody(t, one, one, local), nil, 422, "module failed validation: root does not match"},
		{"wrong ids", replaced(wrongIDs), nil, 422, "module failed validation: content does not match root"},
		{"wrong lengths", replaced(wrongLengths), nil, 422, form},
		{"other metadata, for which the root does not speak", replaced(wrongSize), nil, 201, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var hs []header
			if tc.head != nil {
				hs = append(hs, tc.head)
			}
			want(t, s.putRecipe(tc.body, hs...), tc.status, tc.text)
			if got := headOf(t, s.there()); got != s.heads[0].Root && tc.status != 201 {
				t.Fatalf("head %s, want %s", got, s.heads[0].Root)
			}
		})
	}
	want(t, s.putRecipe(good), 200, "") // the root is already the head, so the body is ignored
}

// TestPutRecipeChunked sends bodies without a Content-Length.
func TestPutRecipeChunked(t *testing.T) {
	s, _, local := pushed(t, 60)
	good := recipeBody(t, s.recipe(1), s.recipe(0), local)
	unknown := func(r *http.Request) { r.ContentLength = -1 }
	want(t, s.putRecipe(good[:len(good)-10], unknown), 422,
		"module failed validation: the body ends before the last chunk")
	want(t, s.putRecipe(append(bytes.Clone(good), 0), unknown), 422,
		"module failed validation: not a recipe and its chunks")
	want(t, s.putRecipe(good, unknown), 201, "")
	sameModule(t, local, s.there(), s.head().Root)
}

// TestPutRecipeLimits checks that the limits of modules apply to recipes too.
func TestPutRecipeLimits(t *testing.T) {
	s, _, local := pushed(t, 60)
	good := recipeBody(t, s.recipe(1), s.recipe(0), local)
	s.serve(s.stores, &server.Options{MaxModule: s.recipe(1).Size() - 1})
	want(t, s.putRecipe(good), 413, "*")
	s.serve(s.stores, &server.Options{MaxModule: int64(len(good)) - 1})
	want(t, s.putRecipe(good), 413, "*")
	s.serve(plainBackend{s.stores, s.stores, s.stores}, nil)
	want(t, s.putRecipe(good), 415, "*")
	s.serve(remotetest.NewStores(s.now), &server.Options{Policy: server.TrustOnFirstUse{}})
	want(t, s.put(s.head(), merkle.Hash{}, good, set("Content-Type", "application/vnd.dig.recipe"),
		set("X-Dig-Recipe-Base", s.heads[0].Root.String())), 412, "*")
}

// TestPutRecipeDeclared checks that the declarations of push-init apply to recipes too.
func TestPutRecipeDeclared(t *testing.T) {
	s, _, local := pushed(t, 60)
	good := recipeBody(t, s.recipe(1), s.recipe(0), local)
	m, err := local.Module(t.Context(), s.head().Root)
	if err != nil {
		t.Fatal(err)
	}
	var mod bytes.Buffer
	if _, err := mod.ReadFrom(m); err != nil {
		t.Fatal(err)
	}
	declare := func(mod []byte) {
		s.do("POST", s.path("/module/upload"),
			strings.NewReader(s.announcement(s.head(), s.heads[0].Root, mod)),
			pushHeaders(s.head(), s.heads[0].Root))
	}
	other := bytes.Clone(mod.Bytes())
	other[len(other)-1] ^= 1
	declare(other)
	want(t, s.putRecipe(good), 422, "module failed validation: program hash does not match push-init")
	declare(other[1:])
	want(t, s.putRecipe(good), 422, "module failed validation: size does not match push-init")
	declare(mod.Bytes())
	want(t, s.putRecipe(good), 201, "")
}

// TestPushRecipeDamaged checks that a damaged local chunk is not sent.
func TestPushRecipeDamaged(t *testing.T) {
	s, l, local := pushed(t, 60)
	_, err := remote.Push(t.Context(), s.client(l, nil), rotten{local})
	if !errors.Is(err, module.ErrVerify) {
		t.Errorf("got %v, want module.ErrVerify", err)
	}
	if got := headOf(t, s.there()); got != s.heads[0].Root {
		t.Errorf("head %s, want %s", got, s.heads[0].Root)
	}
}

// rotten is a store whose modules are damaged.
type rotten struct{ *remotetest.Memory }

func (r rotten) Module(ctx context.Context, root merkle.Hash) (io.ReadSeekCloser, error) {
	m, err := r.Memory.Module(ctx, root)
	return rot{m}, err
}

type rot struct{ io.ReadSeekCloser }

func (r rot) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReadSeekCloser.(io.ReaderAt).ReadAt(p, off)
	if n > 100 {
		p[100] ^= 1
	}
	return n, err
}
