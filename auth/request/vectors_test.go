package request_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

func same[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func refused(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// kind says what kind of *request.Error err is, 0 for none.
func kind(err error) request.Kind {
	var e *request.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func seed(b byte) (s [32]byte) {
	for i := range s {
		s[i] = b
	}
	return s
}

// clock returns a clock that always shows the same time.
func clock(at time.Time) func() time.Time { return func() time.Time { return at } }

// get makes a request without headers.
func get(t testing.TB) *http.Request {
	t.Helper()
	return must(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.net/", nil))
}

func TestVectors(t *testing.T) {
	var f struct {
		About string
		Cases []struct {
			Method            request.Op
			StoreID           auth.StoreID `json:"store_id"`
			Timestamp         string
			Nonce             vectors.Hex
			Preimage, Message vectors.Hex
			Seed              string         `json:"identity_seed"`
			PK                auth.PublicKey `json:"identity_pk"`
			Signature         auth.Signature
			Valid             bool
			Why               string
		}
	}
	vectors.Load(t, "dig/dig-request-auth.json", &f)
	for i, c := range f.Cases {
		unix := must(strconv.ParseUint(c.Timestamp, 10, 64))
		at, nonce := time.Unix(int64(unix), 0), [32]byte(c.Nonce) // the same 64 bits, also over 1<<63
		msg := request.Message(c.Method, c.StoreID, at, nonce)
		r := get(t)
		r.Header = http.Header{
			"X-Dig-Identity": {c.PK.String()}, "X-Dig-Timestamp": {c.Timestamp},
			"X-Dig-Nonce": {c.Nonce.String()}, "X-Dig-Auth": {c.Signature.String()},
		}
		who, err := (&request.Authenticator{Now: clock(at)}).Check(r, c.Method, c.StoreID)
		if unix > math.MaxInt64 { // never fresh; the signature is looked at all the same
			same(t, kind(err), request.Stale)
			who, err = c.PK, verify(c.PK, msg[:], c.Signature)
		}
		if (err == nil) != c.Valid {
			t.Errorf("case %d %s: got %v, want valid %v", i, c.Why, err, c.Valid)
		}
		if !c.Valid {
			same(t, kind(err) == request.Signature || kind(err) == request.Malformed || unix > math.MaxInt64,
				true)
			continue
		}
		same(t, who, c.PK)
		same(t, vectors.Hex(msg[:]).String(), c.Message.String())
		same(t, merkle.Sum(c.Preimage), merkle.Hash(msg))

		signed := get(t)
		if err := request.SignAt(signed, c.Method, c.StoreID, must(auth.ParseKey(c.Seed)), at,
			nonce); err != nil {
			t.Fatal(err)
		}
		for name := range r.Header {
			same(t, signed.Header.Get(name), r.Header.Get(name))
		}
	}
	vectors.Count(t, "dig/dig-request-auth.json", len(f.Cases), 0)
}

func verify(pub auth.PublicKey, msg []byte, sig auth.Signature) error {
	v, err := auth.NewVerifier(pub)
	if err != nil {
		return err
	}
	return v.Verify(msg, sig)
}

// The requests of store/bls.json; its other roles are package auth's.
func TestStoreVectors(t *testing.T) {
	var f struct {
		Signing []struct {
			Role      string
			Seed      string `json:"seed_hex"`
			Method    request.Op
			StoreID   auth.StoreID `json:"store_id"`
			Timestamp int64
			Nonce     vectors.Hex
			Message   vectors.Hex    `json:"message_hex"`
			Signature auth.Signature `json:"signature_hex"`
		}
	}
	vectors.Load(t, "store/bls.json", &f)
	n := 0
	for _, c := range f.Signing {
		if c.Role != "request" {
			continue
		}
		r := get(t)
		if err := request.SignAt(r, c.Method, c.StoreID, must(auth.ParseKey(c.Seed)),
			time.Unix(c.Timestamp, 0), [32]byte(c.Nonce)); err != nil {
			t.Fatal(err)
		}
		msg := request.Message(c.Method, c.StoreID, time.Unix(c.Timestamp, 0), [32]byte(c.Nonce))
		same(t, vectors.Hex(msg[:]).String(), c.Message.String())
		same(t, r.Header.Get(request.HeaderAuth), c.Signature.String())
		n++
	}
	vectors.Count(t, "store/bls.json, role request", n, 0)
}

// The values of remote/PROTOCOL.md 1.5.
func TestSpecValues(t *testing.T) {
	k, store, at := auth.NewKey(seed(0x63)), auth.StoreID(seed(1)), time.Unix(1700000000, 0)
	for op, want := range map[request.Op]string{
		request.Fetch:        "76b42c2a31eb4dc0aa97aeb1b6fa934c56eeb3a11ed33c94a8dc819d4c334971",
		request.Roots:        "e02fc08c4d0c9c89f0a0e69c20e2fbc872b1b1749f6128e5103f590568d05528",
		request.Module:       "852ff9b21038e80d153876fe1acd233c2fcf048395fc6f51083acab9db2984ea",
		request.Content:      "e15ca09a7d30e93bf1224d752bf7ba1ec57adef49a684589b05456a9073e036b",
		request.Proof:        "6fcd7c4c97456836a481b27c4411a8a59e9620104904665d665af4717b27790d",
		request.Push:         "3149237587767c794e079da4c4502ce6c7afcdf323810410362d6f81cce2520b",
		request.PushInit:     "cb65a540aae2381af96bd63ecca83fb068db8c4e44df0338c984193fb404ed88",
		request.PushComplete: "d5a09a6d9797d1e79bf655553c3d8b60a5cd52c3b0bab5040fb1000948963eed",
		request.Delta:        "28b1e17fbbdd26df998ad74df742787aec152ea1c5731c5019d26532b9233925",
		request.Tombstone:    "9ae973e9321fb6bbc42cf408caf7823737557a9659e2c857e0242711bc1e633e",
	} {
		msg := request.Message(op, store, at, seed(7))
		same(t, vectors.Hex(msg[:]).String(), want)
	}
	for op, want := range map[request.Op]string{
		request.Fetch: "8863540e2113b7ef84fc1d57dfb7766d7a734dee3aa1aff62fa43e9e5a0cc0e80d4158dfddcdb0f3ef0d84389f95efe0" +
			"16aed5549aed169978303ce556a7fc14599dd6f222c51bab7c162f9c407f332d7c7ac30b5018d7f180bab5f3c4d530d0",
		request.Module: "8b3747780f038c095433aa5246a8ba1e7ace771318948815766096d455d67b2a596375bbfc5a3461bcdce18126549173" +
			"0064bc5f102591094f53fda6929e8fa7edf31bf7914a26f0335ad7a11839f8470b873bdface7d9603667206c78a3f2bc",
		request.Push: "8c7fea87a1004d298a8c504e2ad610a5473fd7585f3ef3c1fa65d1b56ef9ce1b143a942da892793bf79ce588dfa64575" +
			"0a6f37911093393abf3f3ca44354cf315c42025ba51e23088d39d01ea3609ce296db9ccd3634ee7a05aba1ce623d1d8d",
	} {
		r := get(t)
		if err := request.SignAt(r, op, store, k, at, seed(7)); err != nil {
			t.Fatal(err)
		}
		same(t, r.Header.Get("X-Dig-Auth"), want)
		same(t, r.Header.Get("X-Dig-Identity"), k.PublicKey().String())
		same(t, r.Header.Get("X-Dig-Timestamp"), "1700000000")
		same(t, r.Header.Get("X-Dig-Nonce"), strings.Repeat("07", 32))
	}
}

// routes is every method and path that has an operation.
var routes = []struct {
	method, tail string
	op           request.Op
}{
	{"GET", "", request.Fetch}, {"HEAD", "", request.Fetch},
	{"GET", "/roots", request.Roots}, {"HEAD", "/roots", request.Roots},
	{"GET", "/module", request.Module}, {"HEAD", "/module", request.Module},
	{"PUT", "/module", request.Push},
	{"POST", "/module/upload", request.PushInit},
	{"POST", "/module/complete", request.PushComplete},
	{"POST", "/content", request.Content},
	{"POST", "/proof", request.Proof},
	{"GET", "/delta", request.Delta}, {"HEAD", "/delta", request.Delta}, {"POST", "/delta", request.Delta},
	{"POST", "/tombstone", request.Tombstone},
}

// reasons are the only bodies of a 401 (remote/PROTOCOL.md 3.4).
var reasons = map[string]bool{
	"request authentication failed: missing X-Dig-Identity":          true,
	"request authentication failed: missing/invalid X-Dig-Timestamp": true,
	"request authentication failed: missing X-Dig-Nonce":             true,
	"request authentication failed: missing X-Dig-Auth":              true,
	"request authentication failed: stale request timestamp":         true,
	"request authentication failed: bad X-Dig-Identity hex":          true,
	"request authentication failed: bad identity public key":         true,
	"request authentication failed: bad X-Dig-Nonce":                 true,
	"request authentication failed: bad X-Dig-Auth":                  true,
	"request authentication failed: signature does not verify":       true,
	"request authentication failed: replayed nonce":                  true,
}

func TestHostileHeaders(t *testing.T) {
	var f struct {
		About string
		Cases []struct {
			Header string
			Value  json.RawMessage // null, one value or several
			Why    string
			Status int
		}
	}
	const file = "dig/hostile-auth-headers.json"
	vectors.Load(t, file, &f)
	now := time.Unix(1700000000, 0)
	k, other, store := auth.NewKey(seed(1)), auth.NewKey(seed(2)), auth.StoreID{3}
	for _, c := range f.Cases {
		t.Run(c.Header+" "+c.Why, func(t *testing.T) {
			var values []string
			if len(c.Value) > 0 && c.Value[0] == '[' {
				if err := json.Unmarshal(c.Value, &values); err != nil {
					t.Fatal(err)
				}
			} else {
				var one *string
				if err := json.Unmarshal(c.Value, &one); err != nil {
					t.Fatal(err)
				}
				if one != nil {
					values = []string{*one}
				}
			}
			for _, route := range routes {
				r := hostile(t, c.Header, values, route.method, route.tail, route.op, store, k, other, now)
				guard := &request.Authenticator{Now: clock(now), Start: now.Add(-time.Hour)}
				op, ok := request.OpOf(r.Method, strings.TrimPrefix(r.URL.Path, "/stores/"+store.String()))
				same(t, ok, true)
				who, err := guard.Check(r, op, store)
				if c.Status == http.StatusOK {
					same(t, err, nil)
					same(t, who, k.PublicKey())
					continue
				}
				refused(t, err, request.ErrUnauthenticated)
				same(t, who, auth.PublicKey{})
				if err != nil && !reasons[err.Error()] {
					t.Errorf("answer %q is none of the fixed ones", err)
				}
			}
		})
	}
	vectors.Count(t, file, len(f.Cases), 0)
}

// hostile writes a request as it goes over the wire, with one header changed, and reads it as a
// server does. It is signed over the changed value where that is a timestamp or a nonce.
func hostile(t *testing.T, header string, values []string, method, tail string, op request.Op,
	store auth.StoreID, k, other *auth.Key, now time.Time) *http.Request {
	t.Helper()
	right := sign(t, op, store, k, now, seed(7))
	wrong := sign(t, op, store, other, now, seed(8))
	for i, v := range values {
		values := fill(v, right.Get(header), wrong.Get(header), now)
		if i == 0 && header == request.HeaderTimestamp {
			if at, err := strconv.ParseInt(strings.TrimSpace(values), 10, 64); err == nil {
				right = sign(t, op, store, k, time.Unix(at, 0), seed(7))
			}
		}
		if nonce, err := hexBytes(values); i == 0 && header == request.HeaderNonce && err == nil &&
			len(nonce) == 32 {
			right = sign(t, op, store, k, now, [32]byte(nonce))
		}
	}
	var raw strings.Builder
	fmt.Fprintf(&raw, "%s /stores/%s%s HTTP/1.1\r\nHost: example.net\r\nContent-Length: 0\r\n", method,
		store, tail)
	for name, v := range right {
		if name != header {
			fmt.Fprintf(&raw, "%s: %s\r\n", name, v[0])
		}
	}
	for _, v := range values {
		fmt.Fprintf(&raw, "%s: %s\r\n", header, fill(v, right.Get(header), wrong.Get(header), now))
	}
	raw.WriteString("\r\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw.String())))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// signed remembers what sign made: without cgo a signature takes milliseconds, and most of these
// tests want the same few.
var signed sync.Map

func sign(t testing.TB, op request.Op, store auth.StoreID, k *auth.Key, at time.Time,
	nonce [32]byte) http.Header {
	t.Helper()
	type question struct {
		op    request.Op
		store auth.StoreID
		key   auth.PublicKey
		at    int64
		nonce [32]byte
	}
	q := question{op, store, k.PublicKey(), at.Unix(), nonce}
	h, ok := signed.Load(q)
	if !ok {
		r := get(t)
		if err := request.SignAt(r, op, store, k, at, nonce); err != nil {
			t.Fatal(err)
		}
		h, _ = signed.LoadOrStore(q, r.Header)
	}
	return h.(http.Header).Clone()
}

var offset = regexp.MustCompile(`<now([+-]\d+)?>`)

// fill puts values for the placeholders of the file.
func fill(template, valid, other string, now time.Time) string {
	template = offset.ReplaceAllStringFunc(template, func(s string) string {
		n, _ := strconv.Atoi(strings.Trim(s, "<now>")) // 0 where there is none
		return strconv.FormatInt(now.Unix()+int64(n), 10)
	})
	return strings.NewReplacer(
		"<valid>", valid,
		"<other valid>", other,
		"<valid upper case>", strings.ToUpper(valid),
		"<valid minus last byte>", valid[:max(len(valid)-2, 0)],
		"<valid minus last digit>", valid[:max(len(valid)-1, 0)],
		"<valid with one g>", "g"+valid[1:],
	).Replace(template)
}
