package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// A deltaAnswer is the response of delta, decoded independently of package wire.
type deltaAnswer struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Chunks []struct {
		Hash string `json:"hash"`
		Data []byte `json:"data_b64"`
	} `json:"chunks"`
	Rows []struct {
		Entry []byte `json:"entry_b64"`
	} `json:"key_table_changes"`
}

func readDelta(t testing.TB, res *http.Response) deltaAnswer {
	t.Helper()
	var a deltaAnswer
	dec := json.NewDecoder(res.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil || res.StatusCode != 200 {
		t.Fatalf("delta: %d %v", res.StatusCode, err)
	}
	return a
}

// chunks returns the ids of a module's chunks.
func chunks(t testing.TB, mod []byte) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	_, err := module.Decompose(t.Context(), bytes.NewReader(mod),
		func(c module.Chunk, _ []byte) error {
			ids[c.ID.String()] = true
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func (s *site) deltaPath(from, to merkle.Hash) string {
	return s.path("/delta?from=" + from.String() + "&to=" + to.String())
}

func TestDeltaIsTheDifference(t *testing.T) {
	s := newContentSite(t, 3)
	ids := make([]map[string]bool, len(s.modules))
	for i, mod := range s.modules {
		ids[i] = chunks(t, mod)
	}
	for from := range s.heads {
		for to := range s.heads {
			a := readDelta(t, s.do("GET", s.deltaPath(s.heads[from].Root, s.heads[to].Root), nil))
			if a.From != s.heads[from].Root.String() || a.To != s.heads[to].Root.String() {
				t.Errorf("%d to %d: it says from %s to %s", from, to, a.From, a.To)
			}
			wanted := map[string]bool{}
			for id := range ids[to] {
				if !ids[from][id] {
					wanted[id] = true
				}
			}
			for _, c := range a.Chunks {
				if merkle.Sum(c.Data).String() != c.Hash || !wanted[c.Hash] {
					t.Errorf("%d to %d: chunk %s is not wanted, or not itself", from, to, c.Hash)
				}
				delete(wanted, c.Hash)
			}
			if len(wanted) > 0 {
				t.Errorf("%d to %d: %d chunks are missing", from, to, len(wanted))
			}
			changed := map[merkle.Hash]bool{urn.RetrievalKey(s.id, "index.html"): true,
				urn.RetrievalKey(s.id, "deep/in/here"): true}
			if from == to {
				clear(changed)
			}
			for _, r := range a.Rows {
				var row module.KeyTableRow
				if err := module.UnmarshalStrict(r.Entry, &row); err != nil || !changed[row.Key] {
					t.Errorf("%d to %d: row %s, %v", from, to, row.Key, err)
				}
				delete(changed, row.Key)
			}
			if len(changed) > 0 {
				t.Errorf("%d to %d: %d rows are missing", from, to, len(changed))
			}
		}
	}
}

func TestDeltaOfWhatIsThere(t *testing.T) {
	s := newContentSite(t, 2)
	have := make([]string, 0)
	for id := range chunks(t, s.modules[0]) {
		have = append(have, id)
	}
	body, _ := json.Marshal(map[string]any{"to": s.head().Root.String(), "have": have})
	a := readDelta(t, s.do("POST", s.path("/delta"), bytes.NewReader(body), asJSON))
	if a.From != strings.Repeat("0", 64) || len(a.Chunks) != 2 || len(a.Rows) != 3 {
		t.Errorf("from %s: %d chunks, %d rows, want 2 and 3", a.From, len(a.Chunks), len(a.Rows))
	}
	body, _ = json.Marshal(map[string]any{"to": s.head().Root.String(), "have": []string{}})
	if a = readDelta(t,
		s.do("POST", s.path("/delta"), bytes.NewReader(body), asJSON)); len(a.Chunks) != 3 {
		t.Errorf("with nothing: %d chunks", len(a.Chunks))
	}
}

func TestDeltaRefusals(t *testing.T) {
	s := newContentSite(t, 2)
	one, two := s.heads[0].Root.String(), s.heads[1].Root.String()
	none := strings.Repeat("1", 64)
	const shape = "module failed validation: body is not a delta request"
	entry := `"` + none + `",`
	many := func(n int) string {
		return `{"to":"` + two + `","have":[` + strings.TrimSuffix(strings.Repeat(entry, n), ",") + `]}`
	}
	for _, tc := range []struct {
		name, method, query, body string
		status                    int
		text                      string
	}{
		{"nothing said", "GET", "", "", 400, "bad request: from and to required"},
		{"no to", "GET", "?from=" + one, "", 400, "bad request: from and to required"},
		{"bad from", "GET", "?from=x&to=" + two, "", 400, "bad request: bad from/to hex"},
		{"bad to", "GET", "?from=" + one + "&to=" + two[1:], "", 400, "bad request: bad from/to hex"},
		{"unknown from", "GET", "?from=" + none + "&to=" + two, "", 404, "unknown root"},
		{"unknown to", "GET", "?from=" + one + "&to=" + none, "", 404, "unknown root"},
		{"HEAD", "HEAD", "?from=" + one + "&to=" + two, "", 200, ""},
		{"HEAD of unknown", "HEAD", "?from=" + one + "&to=" + none, "", 404, ""},
		{"no JSON", "POST", "", "have", 400, "bad request: body is not JSON"},
		{"no members", "POST", "", "{}", 422, shape},
		{"no have", "POST", "", `{"to":"` + two + `"}`, 422, shape},
		{"have of numbers", "POST", "", `{"to":"` + two + `","have":[1]}`, 422, shape},
		{"bad to in JSON", "POST", "", `{"to":"x","have":[]}`, 400, "bad request: bad from/to hex"},
		{"bad have", "POST", "", `{"to":"` + two + `","have":["x"]}`, 400, "bad request: bad chunk hash"},
		{"unknown to in JSON", "POST", "", `{"to":"` + none + `","have":[]}`, 404, "unknown root"},
		{"100,000", "POST", "", many(remote.MaxHave), 200, "*"},
		{"100,001", "POST", "", many(remote.MaxHave + 1), 413, "body too large: over 100000 chunks"},
		{"8 MiB and a byte", "POST", "", "{}" + strings.Repeat(" ", 8<<20-1), 413, "body too large: over 8388608 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var body io.Reader
			if tc.method == "POST" {
				body = strings.NewReader(tc.body)
			}
			want(t, s.do(tc.method, s.path("/delta"+tc.query), body, asJSON), tc.status, tc.text)
		})
	}
	want(t, s.do("POST", s.path("/delta"), strings.NewReader("{}")), 415, "*")
	want(t, s.do("GET", "/stores/"+none+"/delta?from="+one+"&to="+two, nil), 404, "unknown store")
}

func TestDeltaTooLarge(t *testing.T) {
	s := newContentSite(t, 2)
	a := readDelta(t, s.do("GET", s.deltaPath(s.heads[0].Root, s.heads[1].Root), nil))
	var size int64
	for _, c := range a.Chunks {
		size += int64(len(c.Data))
	}
	for _, r := range a.Rows {
		size += int64(len(r.Entry))
	}
	ask := func(limit int64) *http.Response {
		s.serve(s.stores, &server.Options{MaxDelta: limit})
		return s.do("GET", s.deltaPath(s.heads[0].Root, s.heads[1].Root), nil)
	}
	want(t, ask(size), 200, "*")
	want(t, ask(size-1), 413, fmt.Sprintf("delta too large: %d bytes", size))
}

// visitor returns a client of a site over real HTTP.
func (s *site) visitor(t testing.TB, h http.Handler, o *remote.ClientOptions) *remote.Client {
	t.Helper()
	origin := remotetest.NewOrigin(h)
	t.Cleanup(func() { origin.Close() })
	if o == nil {
		o = &remote.ClientOptions{Attempts: 1, Now: s.now}
	}
	c, err := origin.Client(s.id, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestClientDelta(t *testing.T) {
	s := newContentSite(t, 2)
	c := s.visitor(t, s.server, nil)
	got := map[string]bool{}
	put := func(id merkle.Hash, sealed []byte) error {
		if merkle.Sum(sealed) != id {
			t.Errorf("chunk %s is not itself", id)
		}
		got[id.String()] = true
		return nil
	}
	rows, err := c.Delta(t.Context(), s.heads[0].Root, s.heads[1].Root, put)
	if err != nil || len(got) != 2 || len(rows) != 2 {
		t.Fatalf("%d chunks, %d rows, %v", len(got), len(rows), err)
	}
	var have []merkle.Hash
	for id := range got {
		h, _ := merkle.ParseHash(id)
		have = append(have, h)
	}
	clear(got)
	if rows, err = c.DeltaHave(t.Context(), s.heads[1].Root, have, put); err != nil ||
		len(got) != 1 || len(rows) != 3 {
		t.Fatalf("%d chunks, %d rows, %v", len(got), len(rows), err)
	}
	full := errors.New("the cache is full")
	if _, err := c.Delta(t.Context(), s.heads[0].Root, s.heads[1].Root,
		func(merkle.Hash, []byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("what the caller said is lost: %v", err)
	}
	if _, err := c.Delta(t.Context(), merkle.Hash{1}, s.heads[1].Root,
		put); !errors.Is(err, remote.ErrProtocol) && err == nil {
		t.Errorf("unknown root: %v", err)
	}
	if _, err := c.DeltaHave(t.Context(), s.heads[1].Root, make([]merkle.Hash, remote.MaxHave+1),
		put); !errors.Is(err, remote.ErrTooLarge) {
		t.Errorf("too many chunks: %v", err)
	}
}

// TestClientDeltaRefuses: the client refuses wrong delta responses.
func TestClientDeltaRefuses(t *testing.T) {
	s := newContentSite(t, 1)
	from, to := merkle.Hash{1}, merkle.Hash{2}
	chunk := func(content, other string) string {
		return fmt.Sprintf(`{"hash":"%s","data_b64":"%s"}`, merkle.Sum([]byte(content)), base64.StdEncoding.EncodeToString([]byte(other)))
	}
	head := fmt.Sprintf(`"from":"%s","to":"%s"`, from, to)
	for _, tc := range []struct {
		name, body string
		want       error
	}{
		{"honest", `{` + head + `,"chunks":[` + chunk("a", "a") + `],"key_table_changes":[]}`, nil},
		{"without rows, with more", `{"x":{},"x":1,` + head + `,"chunks":[]}`, nil},
		{"a wrong chunk after a right one", `{` + head + `,"chunks":[` + chunk("a", "a") + `,` + chunk("b", "c") + `]}`, remote.ErrVerification},
		{"another to", fmt.Sprintf(`{"from":"%s","to":"%s","chunks":[]}`, from, from), remote.ErrVerification},
		{"another from", fmt.Sprintf(`{"from":"%s","to":"%s","chunks":[]}`, to, to), remote.ErrVerification},
		{"no chunks", `{` + head + `}`, remote.ErrProtocol},
		{"chunks twice", `{` + head + `,"chunks":[],"chunks":[]}`, remote.ErrProtocol},
		{"a bad row", `{` + head + `,"chunks":[],"key_table_changes":[{"entry_b64":"AA=="}]}`, remote.ErrProtocol},
		{"no base64", `{` + head + `,"chunks":[{"hash":"` + to.String() + `","data_b64":"*"}]}`, remote.ErrProtocol},
		{"cut off", `{` + head + `,"chunks":[`, remote.ErrProtocol},
		{"nothing", ``, remote.ErrProtocol},
		{"an array", `[]`, remote.ErrProtocol},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.visitor(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, tc.body)
			}), nil)
			_, err := c.Delta(t.Context(), from, to, func(merkle.Hash, []byte) error { return nil })
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestClientContent(t *testing.T) {
	s := newContentSite(t, 2)
	c := s.visitor(t, s.server, nil)
	for n, head := range s.heads {
		for name, file := range files(n) {
			if got, err := c.Content(t.Context(), head.Root, name, nil); err != nil ||
				!bytes.Equal(got, file.Data) {
				t.Errorf("generation %d, %s: %v", n, name, err)
			}
		}
	}
	if _, err := c.Content(t.Context(), s.head().Root, "nowhere",
		nil); !errors.Is(err, remote.ErrVerification) {
		t.Errorf("a decoy was believed: %v", err)
	}
	if _, err := c.Content(t.Context(), s.head().Root, "index.html",
		&urn.Salt{1}); !errors.Is(err, urn.ErrSealed) || !errors.Is(err, remote.ErrVerification) {
		t.Errorf("opened with another salt: %v", err)
	}
	if p, err := c.Proof(t.Context(), s.head().Root, urn.RetrievalKey(s.id, "index.html")); p != nil ||
		err != nil {
		t.Errorf("proof %v, %v", p, err)
	}
}

// TestClientContentInParts reads content of sizes around those of one and two requests.
func TestClientContentInParts(t *testing.T) {
	const window = 4 << 20
	for _, size := range []int{0, window - 1000, window + 5000, 2*window + 1} {
		s, _, _ := varied(t, 1, func(int) int { return size })
		c := s.visitor(t, s.server, nil)
		got, err := c.Content(t.Context(), s.head().Root, "f0000", nil)
		if err != nil || len(got) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		if size > window {
			small := s.visitor(t, s.server,
				&remote.ClientOptions{MaxContent: window, Attempts: 1, Now: s.now})
			if _, err := small.Content(t.Context(), s.head().Root, "f0000",
				nil); !errors.Is(err, remote.ErrTooLarge) {
				t.Errorf("%d bytes, over the limit: %v", size, err)
			}
		}
	}
}

// TestClientContentRefuses changes one thing at a time in valid responses.
func TestClientContentRefuses(t *testing.T) {
	s := newContentSite(t, 1)
	honest, _ := s.content(t, urn.RetrievalKey(s.id, "deep/in/here"), s.head().Root, "")
	other, _ := s.content(t, urn.RetrievalKey(s.id, "index.html"), s.head().Root, "")
	for _, tc := range []struct {
		name   string
		change func(a *contentAnswer)
		want   error
	}{
		{"honest", func(*contentAnswer) {}, nil},
		{"a bit", func(a *contentAnswer) { a.Ciphertext[7] ^= 1 }, remote.ErrVerification},
		{"cut", func(a *contentAnswer) { a.Ciphertext = a.Ciphertext[1:]; a.Total-- }, remote.ErrVerification},
		{"another resource", func(a *contentAnswer) { *a = other }, remote.ErrVerification},
		{"another root", func(a *contentAnswer) { a.Root = strings.Repeat("1", 64) }, remote.ErrVerification},
		{"no proof", func(a *contentAnswer) { a.Proof = nil }, remote.ErrVerification},
		{"a broken proof", func(a *contentAnswer) { a.Proof = a.Proof[:len(a.Proof)-1] }, remote.ErrVerification},
		{"chunk lengths that do not add up", func(a *contentAnswer) { a.ChunkLens = []uint32{1} }, remote.ErrVerification},
		{"chunk lengths that are too many", func(a *contentAnswer) { a.ChunkLens = []uint32{0, uint32(len(a.Ciphertext))} }, remote.ErrVerification},
		{"no chunk lengths", func(a *contentAnswer) { a.ChunkLens = nil }, nil},
		{"a longer total", func(a *contentAnswer) { a.Total += 5 }, remote.ErrProtocol},
		{"a shorter total", func(a *contentAnswer) { a.Total -= 5 }, remote.ErrProtocol},
		{"an endless total", func(a *contentAnswer) { a.Total = 1 << 60 }, remote.ErrTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := honest
			a.Ciphertext = bytes.Clone(a.Ciphertext)
			tc.change(&a)
			first := true
			c := s.visitor(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !first {
					a.Ciphertext = nil
				}
				first = false
				json.NewEncoder(w).Encode(a)
			}), nil)
			got, err := c.Content(t.Context(), s.head().Root, "deep/in/here", nil)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || err != nil && got != nil {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestClientProofRefuses: a proof of another root, or of another form, is refused.
func TestClientProofRefuses(t *testing.T) {
	s := newContentSite(t, 1)
	for _, tc := range []struct {
		root, proof string
		want        error
	}{
		{s.head().Root.String(), "", nil},
		{strings.Repeat("1", 64), "", remote.ErrVerification},
		{s.head().Root.String(), "AAAA", remote.ErrProtocol},
	} {
		c := s.visitor(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"proof_b64":%q,"roothash":%q}`, tc.proof, tc.root)
		}), nil)
		if p, err := c.Proof(t.Context(), s.head().Root, merkle.Hash{}); p != nil ||
			!errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("root %s, proof %q: %v, %v; want %v", tc.root, tc.proof, p, err, tc.want)
		}
	}
}

func FuzzContentRequest(f *testing.F) {
	s := newContentSite(f, 1)
	s.serve(s.stores, &server.Options{Anonymous: true, Limits: noLimit})
	f.Add([]byte(contentBody(urn.RetrievalKey(s.id, "index.html"), s.head().Root, `{"start":1,"end":18446744073709551615}`)))
	f.Add([]byte(contentBody(merkle.Hash{}, s.head().Root, "null")))
	f.Add([]byte(fmt.Sprintf(`{"to":"%s","have":["%s"]}`, s.head().Root, s.head().Root)))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, tail := range []string{"/content", "/proof", "/delta"} {
			r, _ := http.NewRequest("POST", "http://localhost"+s.path(tail), bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.server.ServeHTTP(w, r)
			if w.Code >= 500 || w.Code >= 300 && w.Code < 400 {
				t.Errorf("%s: %d", tail, w.Code)
			}
		}
	})
}

// FuzzContentAnswers gives a client arbitrary responses.
func FuzzContentAnswers(f *testing.F) {
	s := newContentSite(f, 1)
	var answer []byte
	c := s.visitor(f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(answer)
	}), nil)
	a, _ := s.content(f, urn.RetrievalKey(s.id, "index.html"), s.head().Root, "")
	text, _ := json.Marshal(a)
	f.Add(text)
	f.Add([]byte(fmt.Sprintf(`{"from":"%s","to":"%s","chunks":[{"hash":"","data_b64":""}]}`, merkle.Hash{1}, merkle.Hash{2})))
	f.Add([]byte(`{"proof_b64":"","roothash":"` + s.head().Root.String() + `"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer = body
		if got, err := c.Content(t.Context(), s.head().Root, "index.html", nil); err == nil &&
			!bytes.Equal(got, files(0)["index.html"].Data) {
			t.Errorf("believed %q", clip(got))
		}
		c.Proof(t.Context(), s.head().Root, merkle.Hash{})
		c.Delta(t.Context(), merkle.Hash{1}, merkle.Hash{2}, func(id merkle.Hash, b []byte) error {
			if merkle.Sum(b) != id {
				t.Error("a chunk that is not itself")
			}
			return nil
		})
	})
}

// TestContentTranscripts compares the routes' requests and responses with testdata/transcripts.
func TestContentTranscripts(t *testing.T) {
	for name, play := range map[string]func(s *site){
		"content": func(s *site) {
			hit, miss := urn.RetrievalKey(s.id, "index.html"), urn.RetrievalKey(s.id, "nowhere")
			post := func(body string) { s.do("POST", s.path("/content"), strings.NewReader(body), asJSON) }
			post(contentBody(hit, s.head().Root, ""))
			post(contentBody(hit, s.heads[0].Root, `{"start":3,"end":9}`))
			post(contentBody(miss, s.head().Root, ""))
			post(contentBody(hit, merkle.Hash{1}, ""))
			post(contentBody(hit, s.head().Root, `{"start":9,"end":3}`))
			post(contentBody(miss, s.heads[0].Root, `{"start":3,"end":9}`))
			post("{")
			post("{}")
			s.do("POST", s.path("/content"), strings.NewReader("{}"))
			s.do("HEAD", s.path("/content"), nil)
		},
		"proof": func(s *site) {
			s.do("POST", s.path("/proof"), strings.NewReader(contentBody(urn.RetrievalKey(s.id, "index.html"), s.head().Root, "")), asJSON)
			s.do("POST", s.path("/proof"), strings.NewReader("[]"), asJSON)
			s.do("POST", s.path("/proof"), strings.NewReader(contentBody(urn.RetrievalKey(s.id, "nowhere"), s.head().Root, "")), asJSON)
			s.do("POST", s.path("/proof"), strings.NewReader(contentBody(urn.RetrievalKey(s.id, "nowhere"), merkle.Hash{1}, "")), asJSON)
		},
		"delta": func(s *site) {
			s.do("GET", s.deltaPath(s.heads[0].Root, s.heads[1].Root), nil)
			s.do("HEAD", s.deltaPath(s.heads[0].Root, s.heads[1].Root), nil)
			s.do("POST", s.path("/delta"), strings.NewReader(`{"to":"`+s.head().Root.String()+`","have":[]}`), asJSON)
			s.do("GET", s.path("/delta?from=00"), nil)
			s.do("HEAD", s.path("/delta?from=00"), nil)
			s.do("GET", s.deltaPath(merkle.Hash{1}, s.heads[1].Root), nil)
			s.do("GET", s.deltaPath(s.heads[0].Root, merkle.Hash{1}), nil)
			s.do("POST", s.path("/delta"), strings.NewReader(`{"to":"12","have":[]}`), asJSON)
			s.do("PUT", s.path("/delta"), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newContentSite(t, 2)
			var got bytes.Buffer
			s.transcript = &got
			play(s)
			golden(t, "transcripts/"+name+".txt", got.Bytes())
		})
	}
}

// TestDeltaOfManyChunks: a delta of several resources of many chunks each, with repeats.
func TestDeltaOfManyChunks(t *testing.T) {
	s := newSite(t, 0, nil)
	random := make([]byte, 2<<20)
	for i, x := 0, uint32(1); i < len(random); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		random[i] = byte(x)
	}
	for n := range 2 {
		mod, head, err := remotetest.Module(t.Context(), s.id, s.publisher, fstest.MapFS{
			"a": {Data: random[:1<<20]}, "b": {Data: random[1<<19 : 1<<20+n<<18]}, "c": {Data: random}},
			&module.Options{TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.memory.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
			t.Fatal(err)
		}
		s.heads, s.modules = append(s.heads, head), append(s.modules, mod)
	}
	a := readDelta(t, s.do("GET", s.deltaPath(s.heads[0].Root, s.heads[1].Root), nil))
	have, wanted := chunks(t, s.modules[0]), chunks(t, s.modules[1])
	for id := range have {
		delete(wanted, id)
	}
	if len(a.Chunks) != len(wanted) || len(wanted) == 0 || len(a.Rows) != 1 {
		t.Errorf("%d chunks of %d, %d rows", len(a.Chunks), len(wanted), len(a.Rows))
	}
}
