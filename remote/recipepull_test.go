package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
	"github.com/dig-network/digstore/remote/remotetest"
)

// TestPullRecipe compares the bytes of a pull, including headers of both directions, with the size
// of the changed chunks.
func TestPullRecipe(t *testing.T) {
	s, l, to := grown(t, 400, 1, nil)
	var m meter
	c := s.client(l, &remote.ClientOptions{Dial: m.dial})
	report, err := remote.Pull(t.Context(), to, c, remote.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "requests", l.requests(), []string{"GET", "GET /roots", "GET /module", "GET /module"})
	checksOf(t, report, []remote.Check{remote.CheckRecipe, remote.CheckRange, remote.CheckContent},
		[]remote.Check{remote.CheckETag, remote.CheckFormat})
	sameModule(t, s.memory, to, s.head().Root)
	delta := changed(s.recipe(0), s.recipe(1))
	if got, most := m.bytes.Load(), delta+delta/5+64<<10; got > most || report.Bytes > got ||
		report.Bytes < delta {
		t.Errorf("%d bytes on the wire for %d of changed chunks, want at most %d; report says %d", got,
			delta, most, report.Bytes)
	}
}

// checksOf checks which checks a report lists and which it does not.
func checksOf(t *testing.T, r *remote.Report, made, not []remote.Check) {
	t.Helper()
	for _, c := range made {
		if !r.Passed(c) {
			t.Errorf("the report does not name the check %s", c)
		}
	}
	for _, c := range not {
		if r.Passed(c) {
			t.Errorf("the report names the check %s, which was not made", c)
		}
	}
}

// TestPullRecipeOlder builds older generations from newer ones.
func TestPullRecipeOlder(t *testing.T) {
	s, l, to := grown(t, 300, 4, nil)
	var m meter
	c := s.client(l, &remote.ClientOptions{Dial: m.dial})
	all := remote.Sync{Trust: remote.Trust{AllowUnsignedHistory: true}, AllGenerations: true}
	report, err := all.Pull(t.Context(), to, c)
	if err != nil || len(report.Installed) != 4 {
		t.Fatalf("%+v, %v", report, err)
	}
	for g := range s.heads {
		sameModule(t, s.memory, to, s.heads[g].Root)
	}
	if got, most := m.bytes.Load(), s.recipe(1).Size()/2; got > most {
		t.Errorf("%d bytes for four generations, want at most %d", got, most)
	}
}

// TestPullWhole checks every reason for reading the whole module.
func TestPullWhole(t *testing.T) {
	for _, tc := range []struct {
		name     string
		old      bool // the server does not support recipes
		wrap     func(*remotetest.Memory) remote.Local
		instead  func(http.ResponseWriter, *http.Request, string) bool
		requests int // for modules
	}{
		{"the server knows no recipes", true, nil, nil, 1},
		{"the client knows no recipes", false, func(m *remotetest.Memory) remote.Local { return plainLocal{m} }, nil, 1},
		{"the server gives no ranges", false, nil, func(w http.ResponseWriter, r *http.Request, _ string) bool {
			r.Header.Del("Range")
			return false
		}, 4},
		{"a proxy drops what it does not know", false, nil, stripped("Accept", "X-Dig-Recipe-Base", "X-Dig-Recipe"), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, l, to := grown(t, 300, 1, nil)
			if tc.old {
				s.serve(plainBackend{s.stores, s.stores, s.stores}, nil)
			}
			l.instead = tc.instead
			var local remote.Local = to
			if tc.wrap != nil {
				local = tc.wrap(to)
			}
			report, err := remote.Pull(t.Context(), local, s.client(l, nil), remote.Trust{FirstUse: true})
			if err != nil {
				t.Fatal(err)
			}
			checksOf(t, report, []remote.Check{remote.CheckETag, remote.CheckFormat, remote.CheckContent},
				[]remote.Check{remote.CheckRecipe, remote.CheckRange})
			sameModule(t, s.memory, to, s.head().Root)
			if n := len(l.requests()) - 2; n != tc.requests {
				t.Errorf("%d requests for modules, want %d", n, tc.requests)
			}
		})
	}
}

// TestPullRecipeSingly pulls from a server that accepts one range per request, or answers only the
// first of several.
func TestPullRecipeSingly(t *testing.T) {
	for name, edit := range map[string]func(r *http.Request){
		"ignores several": func(r *http.Request) {
			if strings.Contains(r.Header.Get("Range"), ",") {
				r.Header.Del("Range")
			}
		},
		"answers the first": func(r *http.Request) {
			first, _, _ := strings.Cut(r.Header.Get("Range"), ",")
			if first != "" {
				r.Header.Set("Range", first)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, l, to := grown(t, 400, 1, nil)
			l.instead = func(_ http.ResponseWriter, r *http.Request, _ string) bool { edit(r); return false }
			report, err := remote.Pull(t.Context(), to, s.client(l, nil), remote.Trust{})
			if err != nil {
				t.Fatal(err)
			}
			sameModule(t, s.memory, to, s.head().Root)
			if whole := s.recipe(1).Size(); report.Bytes > whole/4 {
				t.Errorf("%d bytes of a module of %d", report.Bytes, whole)
			}
		})
	}
}

// TestPullRecipeBroken breaks the answer with the chunks in the middle. Chunks received are not
// requested again.
func TestPullRecipeBroken(t *testing.T) {
	s, l, to := grown(t, 400, 1, nil)
	broken, asked := 0, []int{}
	l.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
		rng := r.Header.Get("Range")
		if rng == "" {
			return false
		}
		asked = append(asked, strings.Count(rng, ",")+1)
		if broken++; broken > 2 {
			return false
		}
		rec := httptest.NewRecorder()
		s.server.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		panic(http.ErrAbortHandler)
	}
	if _, err := remote.Pull(t.Context(), to, s.client(l, nil), remote.Trust{}); err != nil {
		t.Fatal(err)
	}
	sameModule(t, s.memory, to, s.head().Root)
	if len(asked) != 3 || asked[1] > asked[0]*2/3 || asked[2] > asked[1]*2/3 {
		t.Errorf("asked for %v ranges", asked)
	}
}

// TestPullRecipeResumed resumes an earlier pull.
func TestPullRecipeResumed(t *testing.T) {
	s, l, to := grown(t, 400, 1, nil)
	l.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.Header.Get("Range") == "" {
			return false
		}
		rec := httptest.NewRecorder()
		s.server.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes()[:rec.Body.Len()*3/4])
		panic(http.ErrAbortHandler)
	}
	once := remote.Sync{Attempts: 1}
	if _, err := once.Pull(t.Context(), to,
		s.client(l, &remote.ClientOptions{Attempts: 1})); err == nil {
		t.Fatal("a pull that breaks off succeeds")
	}
	if got := headOf(t, to); got != s.heads[0].Root {
		t.Fatalf("head %s after a pull that broke off, want the old one", got)
	}
	lacking, err := to.MissingChunks(t.Context(), s.recipe(1))
	if err != nil || len(lacking) == 0 || len(lacking) > 10 {
		t.Fatalf("%d chunks are lacking, %v; want some, less than half", len(lacking), err)
	}
	l.instead = nil
	if _, err := once.Pull(t.Context(), to, s.client(l, nil)); err != nil {
		t.Fatal(err)
	}
	sameModule(t, s.memory, to, s.head().Root)
}

// TestPullRecipeRefused checks that origins with false recipes and ranges are refused by the right
// check and that the store stays unchanged.
func TestPullRecipeRefused(t *testing.T) {
	s, l, _ := grown(t, 300, 1, nil)
	stranger, _ := store(t, launcher, 1)
	foreign, err := stranger.Recipe(t.Context(), stranger.line(t, 0).Root)
	if err != nil {
		t.Fatal(err)
	}
	pack := func(r, base *module.Recipe) []byte {
		b, err := wire.PackRecipe(r, base)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	wrongIDs, wrongLengths, wrongSize := s.lyingRecipes()
	honest := pack(s.recipe(1), s.recipe(0))
	recipe := func(b []byte) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.Header.Get("Accept"), "recipe") {
				return false
			}
			w.Header().Set("Content-Type", "application/vnd.dig.recipe")
			w.Write(b)
			return true
		}
	}
	ranges := func(answer func(w http.ResponseWriter, res *http.Response,
		body string)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			rec := httptest.NewRecorder()
			s.server.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.Header().Del("Content-Length")
			answer(w, rec.Result(), rec.Body.String())
			return true
		}
	}
	edited := func(edit func(string) string) func(http.ResponseWriter, *http.Request) bool {
		return ranges(func(w http.ResponseWriter, res *http.Response, body string) {
			w.WriteHeader(res.StatusCode)
			io.WriteString(w, edit(body))
		})
	}
	once := func(old, new string) func(http.ResponseWriter, *http.Request) bool {
		return edited(func(body string) string { return strings.Replace(body, old, new, 1) })
	}
	total := "/" + strconv.FormatInt(s.recipe(1).Size(), 10)
	for _, tc := range []struct {
		name  string
		lie   func(http.ResponseWriter, *http.Request) bool
		check remote.Check
	}{
		{"garbage", recipe([]byte("a recipe for disaster")), remote.CheckRecipe},
		{"nothing", recipe(nil), remote.CheckRecipe},
		{"truncated", recipe(honest[:len(honest)-7]), remote.CheckRecipe},
		{"of another version", recipe([]byte(strings.Replace(string(honest), "DIGRCPW1", "DIGRCPW2", 1))), remote.CheckRecipe},
		{"a base that was not offered", recipe(pack(s.recipe(1), s.recipe(1))), remote.CheckRecipe},
		{"of another root", recipe(pack(s.recipe(0), nil)), remote.CheckRoot},
		{"of another store", recipe(pack(foreign, nil)), remote.CheckStore},
		{"wrong chunk ids", recipe(pack(wrongIDs, nil)), remote.CheckRecipe},
		{"other lengths of chunks that are held", recipe(pack(wrongLengths, nil)), remote.CheckSize},
		{"a module of another length", recipe(pack(wrongSize, nil)), remote.CheckSize},
		{"ranges of another generation", ranges(func(w http.ResponseWriter, res *http.Response, body string) {
			w.Header().Set("ETag", `"`+s.heads[0].Root.String()+`"`)
			w.WriteHeader(206)
			io.WriteString(w, body)
		}), remote.CheckETag},
		{"all of another generation", ranges(func(w http.ResponseWriter, res *http.Response, body string) {
			w.Header().Set("ETag", `"`+s.heads[0].Root.String()+`"`)
			io.WriteString(w, body)
		}), remote.CheckETag},
		{"no such ranges", ranges(func(w http.ResponseWriter, res *http.Response, body string) { w.WriteHeader(416) }), remote.CheckRange},
		{"other bytes", edited(func(body string) string {
			i := strings.Index(body, "\r\n\r\n") + 20
			return body[:i] + string(body[i]^1) + body[i+1:]
		}), remote.CheckRecipe},
		{"another range", once("Content-Range: bytes ", "Content-Range: bytes 9"), remote.CheckRange},
		{"a part that ends behind what was asked for", edited(func(body string) string {
			i := strings.LastIndex(body, "Content-Range: bytes ") + len("Content-Range: bytes ")
			from, rest, _ := strings.Cut(body[i:], "-")
			last, rest, _ := strings.Cut(rest, "/")
			end, _ := strconv.Atoi(last)
			j := strings.LastIndex(rest, "\r\n--")
			return body[:i] + from + "-" + strconv.Itoa(end+4) + "/" + rest[:j] + "more" + rest[j:]
		}), remote.CheckRange},
		{"no range", once("Content-Range: bytes ", "Content-Range: lines "), remote.CheckRange},
		{"lying totals", once(total, total+"0"), remote.CheckRange},
		{"a part that is too short", edited(func(body string) string {
			i := strings.Index(body, "\r\n\r\n") + 20
			return body[:i] + body[i+9:]
		}), remote.CheckRange},
		{"a part that is too long", edited(func(body string) string {
			i := strings.Index(body[2:], "\r\n--") + 2
			return body[:i] + "more" + body[i:]
		}), remote.CheckRange},
		{"another boundary", ranges(func(w http.ResponseWriter, res *http.Response, body string) {
			w.Header().Set("Content-Type", "multipart/byteranges; boundary=elsewhere")
			w.WriteHeader(206)
			io.WriteString(w, body)
		}), remote.CheckRange},
		{"no boundary", ranges(func(w http.ResponseWriter, res *http.Response, body string) {
			w.Header().Set("Content-Type", "multipart/byteranges")
			w.WriteHeader(206)
			io.WriteString(w, body)
		}), remote.CheckRange},
		{"no parts", ranges(func(w http.ResponseWriter, res *http.Response, body string) {
			w.Header().Set("Content-Type", "multipart/byteranges; boundary=b")
			w.WriteHeader(206)
			io.WriteString(w, "--b--\r\n")
		}), remote.CheckRange},
		{"the same part for ever", ranges(func(w http.ResponseWriter, res *http.Response, body string) {
			_, boundary, _ := strings.Cut(res.Header.Get("Content-Type"), "boundary=")
			part, _, _ := strings.Cut(body[len("--"+boundary):], "--"+boundary)
			w.WriteHeader(206)
			for range 1 << 20 {
				if _, err := io.WriteString(w, "--"+boundary+part); err != nil {
					return
				}
			}
		}), remote.CheckRange},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to := remotetest.NewMemory(s.id, nil)
			if err := s.memoryInto(to, 0); err != nil {
				t.Fatal(err)
			}
			l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
				return tail == "/module" && tc.lie(w, r)
			}
			_, err := remote.Pull(t.Context(), to, s.client(l, nil), remote.Trust{FirstUse: true})
			refused(t, err, tc.check, nil)
			if got := headOf(t, to); got != s.heads[0].Root {
				t.Errorf("head %s after a lie, want the old one", got)
			}
			sameModule(t, s.memory, to, s.heads[0].Root)
			l.instead = nil
			if _, err := remote.Pull(t.Context(), to, s.client(l, nil),
				remote.Trust{FirstUse: true}); err != nil {
				t.Errorf("from an honest origin afterwards: %v", err)
			}
		})
	}
}

// memoryInto installs generation g of the site in another store.
func (s *site) memoryInto(to *remotetest.Memory, g int) error {
	r, err := s.memory.Module(s.t.Context(), s.heads[g].Root)
	if err != nil {
		return err
	}
	defer r.Close()
	lines, err := s.memory.Generations(s.t.Context())
	if err != nil {
		return err
	}
	return to.Install(s.t.Context(), lines[:g+1], s.heads[g], r, func(m *module.Module) error {
		return m.Verify(s.t.Context())
	})
}

// lyingRecipes returns false recipes of the head of the site: one has other IDs of the new chunks,
// one has other lengths of chunks of the older generation, and one is longer.
func (s *site) lyingRecipes() (wrongIDs, wrongLengths, wrongSize *module.Recipe) {
	s.t.Helper()
	old := map[module.Chunk]bool{}
	for _, c := range s.recipe(0).Pool() {
		old[c] = true
	}
	make := func(edit func(c *module.Chunk), o *module.Options) *module.Recipe {
		var entries []module.Entry
		for e := range s.recipe(1).Entries() {
			chunks := append([]module.Chunk(nil), e.Chunks...)
			for i := range chunks {
				edit(&chunks[i])
			}
			if e.Chunks = chunks; len(chunks) == 1 {
				e.Leaf = chunks[0].ID
			}
			entries = append(entries, e)
		}
		r, err := module.Compose(s.id, s.publisher.PublicKey(), entries, o)
		if err != nil {
			s.t.Fatal(err)
		}
		return s.renamed(r, s.heads[1].Root)
	}
	wrongIDs = make(func(c *module.Chunk) {
		if !old[*c] {
			c.ID[5] ^= 1
		}
	}, nil)
	wrongLengths = make(func(c *module.Chunk) {
		if old[*c] {
			c.Len += 4 << 10
		}
	}, nil)
	long := strings.Repeat("long ", 20_000)
	wrongSize = make(func(*module.Chunk) {},
		&module.Options{Metadata: &module.Metadata{SchemaVersion: 1, Description: &long}})
	return wrongIDs, wrongLengths, wrongSize
}

// renamed replaces every occurrence of the root in a recipe.
func (s *site) renamed(r *module.Recipe, root [32]byte) *module.Recipe {
	s.t.Helper()
	b, err := r.MarshalBinary()
	if err != nil {
		s.t.Fatal(err)
	}
	was := r.Root()
	r, err = module.ParseRecipe([]byte(strings.ReplaceAll(string(b), string(was[:]), string(root[:]))))
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// TestSpansErrors checks what Spans promises about errors of take.
func TestSpansErrors(t *testing.T) {
	s, l, _ := grown(t, 10, 0, nil)
	c := s.client(l, nil)
	mine := errors.New("mine")
	calls := 0
	err := c.Spans(t.Context(), s.head().Root,
		[]remote.Span{{Offset: 10, Length: 5}, {Offset: 4000, Length: 7}}, func(int, io.Reader) error {
			calls++
			return mine
		})
	if !errors.Is(err, mine) || calls != 1 {
		t.Errorf("take failed: %v after %d calls", err, calls)
	}
	if err := c.Spans(t.Context(), s.head().Root,
		[]remote.Span{{Offset: 10, Length: 5}, {Offset: 12, Length: 7}}, nil); err == nil {
		t.Error("spans that overlap are asked for")
	}
	var got [3][]byte
	err = c.Spans(t.Context(), s.head().Root,
		[]remote.Span{{Length: 4}, {Offset: 4, Length: 0}, {Offset: 200_000, Length: 5}}, func(i int,
			body io.Reader) (err error) {
			got[i], err = io.ReadAll(body)
			return err
		})
	if err != nil || string(got[0]) != "\x00asm" || len(got[1]) != 0 || len(got[2]) != 5 {
		t.Errorf("got %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Spans(ctx, s.head().Root, []remote.Span{{Length: 4}},
		nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
