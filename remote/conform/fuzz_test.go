package conform_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/conform"
)

// quick is a Signer that saves the cost of signing: its signatures are invalid.
type quick struct{}

func (quick) PublicKey() auth.PublicKey { return auth.PublicKey{1} }

func (quick) Sign(context.Context, []byte) (auth.Signature, error) { return auth.Signature{1}, nil }

// A parrot gives the same answer to every request.
type parrot struct {
	status int
	kind   string
	body   []byte
}

func (p parrot) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	h := http.Header{"Content-Type": {p.kind}, "Etag": {`"x"`}}
	return &http.Response{StatusCode: p.status, Header: h, Body: io.NopCloser(bytes.NewReader(p.body)),
		ContentLength: int64(len(p.body)), Request: r}, nil
}

// FuzzRun checks that Run returns a report for arbitrary answers, and that each Found is one line.
func FuzzRun(f *testing.F) {
	root := strings.Repeat("ab", 32)
	f.Add(uint16(200), "application/json", []byte(`{"current_root":"`+root+`","size":1,"public_key":"","push_sig":"","tombstones":[{"record":"00"}],"roots":[{"generation":0,"root":"`+root+`","timestamp":1}],"jsonrpc":"2.0","id":"conform","result":{"methods":["dig.getContent","rpc.discover"]}}`))
	f.Add(uint16(404), "text/plain", []byte("unknown store"))
	f.Add(uint16(413), "application/json", []byte(`{"error":"capsule_too_large_for_get","total_length":-1}`))
	f.Add(uint16(302), "\x00", []byte("\x1b[2J"))
	u, err := remote.ParseURL("http://127.0.0.1/stores/" + root)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status uint16, kind string, body []byte) {
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			return // Run would wait and retry
		}
		o := &conform.Options{Identity: quick{}, Transport: parrot{int(status), kind, body},
			TempDir: t.TempDir(), Write: &conform.Write{Key: quick{}}}
		r, err := conform.Run(t.Context(), u, o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Err() == nil {
			t.Error("a parrot conforms")
		}
		for _, c := range r.Results {
			if strings.ContainsAny(c.Found+c.Reason, "\n\r\x00\x1b") || len(c.Found) > 400 {
				t.Errorf("%s: found %q", c.Check, c.Found)
			}
		}
		if err := r.WriteJUnit(io.Discard); err != nil {
			t.Error(err)
		}
	})
}
