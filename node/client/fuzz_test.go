package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/client"
)

// What is taken as a whole manifest is JSON, and one for package capsule too.
func FuzzManifest(f *testing.F) {
	for _, file := range vectors.Seeds(f, "dig/hostile-manifests.json") {
		var v struct{ Cases []struct{ JSON string } }
		if err := json.Unmarshal(file, &v); err != nil {
			f.Fatal(err)
		}
		for _, c := range v.Cases {
			f.Add([]byte(c.JSON))
		}
	}
	g := capsuletest.Split(f, 1, 100, text(1, 250))
	honest, err := g.MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(honest)
	f.Add(bytes.Replace(honest, []byte(`]`), []byte(`],"next_offset":null,"parent_root":null`), 1))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := newClient(t, "http://127.0.0.1", &client.Options{Trust: anyRoot{}, Attempts: 1,
			MaxManifest: 1 << 20})
		client.SetTransport(c, fakeTransport(func(r *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: 200, Header: http.Header{}, Request: r}
			setBody(resp, text)
			return resp, nil
		}))
		m, err := c.Manifest(t.Context(), auth.StoreID{1}, merkle.Hash{})
		if err != nil {
			if !errors.Is(err, capsule.ErrManifest) && !errors.Is(err, client.ErrProtocol) {
				t.Errorf("%v", err)
			}
			return
		}
		if !json.Valid(text) || !m.Complete() || m.Check() != nil {
			t.Errorf("%s was taken as a manifest", text)
		}
	})
}
