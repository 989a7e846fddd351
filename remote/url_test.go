package remote_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/remote"
)

// urlVectors is dig/dig-urls.json, which has only dig:// locators.
type urlVectors struct {
	About string `json:"about"`
	Cases []struct {
		URL      string `json:"url"`
		OK       bool   `json:"ok"`
		Resolves string `json:"resolves"`
		Why      string `json:"why"`
	} `json:"cases"`
}

func TestParseURLVectors(t *testing.T) {
	var v urlVectors
	vectors.Load(t, "dig/dig-urls.json", &v)
	for _, c := range v.Cases {
		u, err := remote.ParseURL(c.URL)
		switch {
		case !c.OK && err == nil:
			t.Errorf("%q (%s): accepted as %v", c.URL, c.Why, u)
		case !c.OK && !errors.Is(err, remote.ErrBadURL):
			t.Errorf("%q (%s): %v is not ErrBadURL", c.URL, c.Why, err)
		case c.OK && err != nil:
			t.Errorf("%q (%s): %v", c.URL, c.Why, err)
		case c.OK && u.Endpoint() != c.Resolves:
			t.Errorf("%q: resolves to %s, want %s", c.URL, u.Endpoint(), c.Resolves)
		}
	}
	vectors.Count(t, "dig/dig-urls.json", len(v.Cases), 0)
}

const testID = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// TestParseURL checks the table of remote/PROTOCOL.md 2.2, including errors.
func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		in       string
		endpoint string // "" for an error
		text     string // String; "" for the same as in
		err      error
	}{
		{in: "dig://ID", endpoint: "https://rpc.dig.net/stores/ID"},
		{in: "dig://ID/", endpoint: "https://rpc.dig.net/stores/ID", text: "dig://ID"},
		{in: "dig://alice@ID", endpoint: "https://rpc.dig.net/stores/ID"},
		{in: "dig://host/ID", endpoint: "https://host/stores/ID"},
		{in: "dig://host/ID/", endpoint: "https://host/stores/ID", text: "dig://host/ID"},
		{in: "dig://host:8443/ID", endpoint: "https://host:8443/stores/ID"},
		{in: "dig://host:08443/ID", endpoint: "https://host:8443/stores/ID", text: "dig://host:8443/ID"},
		{in: "dig://alice@host:8443/ID", endpoint: "https://host:8443/stores/ID"},
		{in: "dig://host/stores/ID", endpoint: "https://host/stores/ID", text: "dig://host/ID"},
		{in: "dig://alice@host/stores/ID/", endpoint: "https://host/stores/ID", text: "dig://alice@host/ID"},
		{in: "dig://host", endpoint: "https://host"},
		{in: "dig://host/", endpoint: "https://host", text: "dig://host"},
		{in: "dig://alice@host:1", endpoint: "https://host:1"},
		{in: "dig://HOST.Example/ID", endpoint: "https://host.example/stores/ID", text: "dig://host.example/ID"},
		{in: "DIG://ID", endpoint: "https://rpc.dig.net/stores/ID", text: "dig://ID"},
		{in: "dig://127.0.0.1:8443/ID", endpoint: "https://127.0.0.1:8443/stores/ID"},
		{in: "dig://[::1]:8443/ID", endpoint: "https://[::1]:8443/stores/ID"},
		{in: "dig://[0:0:0:0:0:0:0:1]/ID", endpoint: "https://[::1]/stores/ID", text: "dig://[::1]/ID"},
		{in: "dig://xn--pple-43d.example/ID", endpoint: "https://xn--pple-43d.example/stores/ID"},
		{in: "https://host/stores/ID", endpoint: "https://host/stores/ID"},
		{in: "https://host:8443/stores/ID/", endpoint: "https://host:8443/stores/ID", text: "https://host:8443/stores/ID"},
		{in: "https://host", endpoint: "https://host"},
		{in: "http://localhost:8443/stores/ID", endpoint: "http://localhost:8443/stores/ID"},
		{in: "http://LocalHost/stores/ID", endpoint: "http://localhost/stores/ID", text: "http://localhost/stores/ID"},
		{in: "http://127.9.9.9:1/stores/ID", endpoint: "http://127.9.9.9:1/stores/ID"},
		{in: "http://[::1]:8443", endpoint: "http://[::1]:8443"},
		{in: "https://host/dig/v1.0_~/stores/ID", endpoint: "https://host/dig/v1.0_~/stores/ID"},
		{in: "https://Host:1/A/stores/ID/", endpoint: "https://host:1/A/stores/ID", text: "https://host:1/A/stores/ID"},
		{in: "https://host/stores/stores/ID", endpoint: "https://host/stores/stores/ID"},
		{in: "http://localhost/a/b/stores/ID", endpoint: "http://localhost/a/b/stores/ID"},
		{in: "https://host/a/stores", endpoint: "https://host/a"},
		{in: "https://host/a/stores/", endpoint: "https://host/a", text: "https://host/a/stores"},
		{in: "https://host/" + strings.Repeat("a", 254) + "/stores/ID", endpoint: "https://host/" + strings.Repeat("a", 254) + "/stores/ID"},

		{in: "http://host/stores/ID", err: remote.ErrInsecure},
		{in: "http://localhost.example/stores/ID", err: remote.ErrInsecure},
		{in: "http://128.0.0.1/stores/ID", err: remote.ErrInsecure},
		{in: "http://[::ffff:127.0.0.1]/stores/ID", err: remote.ErrInsecure},

		{in: "dig://ID/foo"}, {in: "dig://host/abc"}, {in: "dig://host/ID/x"}, {in: "dig://host/stores"},
		{in: "dig://host/stores/"}, {in: "dig://host//"}, {in: "dig://ID//"}, {in: "dig://host//ID"},
		{in: "dig://host/stores/stores/ID"}, {in: "dig://ID:8443"}, {in: "dig://ID/ID"},
		{in: "dig:///ID"}, {in: "dig://alice@/ID"}, {in: "dig://"}, {in: "dig://alice@"}, {in: ""}, {in: "ID"},
		{in: "dig://host/ID?x"}, {in: "dig://host/ID#x"}, {in: "dig://host?"},
		{in: "dig://a:b@host/ID"}, {in: "dig://a:b@ID"}, {in: "dig://a@b@host/ID"}, {in: "dig://@host/ID"},
		{in: "dig://ho st/ID"}, {in: "dig://host%20/ID"}, {in: `dig://ho\st/ID`}, {in: "dig://höst/ID"},
		{in: "dig://host:/ID"}, {in: "dig://host:0/ID"}, {in: "dig://host:65536/ID"}, {in: "dig://host:+1/ID"},
		{in: "dig://host:1:2/ID"}, {in: "dig://ho..st/ID"}, {in: "dig://host./ID"}, {in: "dig://127.1/ID"},
		{in: "dig://0x7f000001/ID"}, {in: "dig://0177.0.0.1/ID"}, {in: "dig://[127.0.0.1]/ID"}, {in: "dig://[::1/ID"},
		{in: "dig://[::1]x/ID"}, {in: "dig://[fe80::1%25eth0]/ID"}, {in: "dig://" + strings.Repeat("a.", 127) + "a/ID"},
		{in: "dig://" + strings.Repeat("0", 64)}, {in: "https://host/ID"}, {in: "https://alice@host/stores/ID"},
		{in: "https://host/a/ID"}, {in: "https://host/stores"}, {in: "https://host//stores/ID"}, {in: "https://host/a//stores/ID"},
		{in: "https://host/./stores/ID"}, {in: "https://host/a/../stores/ID"}, {in: "https://host/a@b/stores/ID"},
		{in: "https://host/a:b/stores/ID"}, {in: "https://host/a;b/stores/ID"}, {in: "https://host/a/stores/ID/b"},
		{in: "https://host/a/stores/" + strings.Repeat("0", 64)}, {in: "https://host/" + strings.Repeat("a", 255) + "/stores/ID"},
		{in: "http://host/a/stores/ID", err: remote.ErrInsecure}, {in: "dig://host/a/stores/ID"}, {in: "dig://host/a/ID"},
		{in: "https:///stores/ID"}, {in: "ftp://host/ID"}, {in: "dig:ID"}, {in: "urn:dig:chia:ID"},
	} {
		full := func(s string) string { return strings.ReplaceAll(s, "ID", testID) }
		if c.endpoint == "" && c.err == nil {
			c.err = remote.ErrBadURL
		}
		if c.text == "" {
			c.text = c.in
		}
		u, err := remote.ParseURL(full(c.in))
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%q: error %v, want %v", c.in, err, c.err)
		}
		if err != nil {
			continue
		}
		if u.Endpoint() != full(c.endpoint) {
			t.Errorf("%q: endpoint %s, want %s", c.in, u.Endpoint(), full(c.endpoint))
		}
		if u.String() != full(c.text) {
			t.Errorf("%q: text %s, want %s", c.in, u, full(c.text))
		}
	}
}

func TestURLWithStore(t *testing.T) {
	id, err := auth.ParseStoreID(testID)
	if err != nil {
		t.Fatal(err)
	}
	origin, err := remote.ParseURL("dig://host")
	if err != nil {
		t.Fatal(err)
	}
	u, err := origin.WithStore(id)
	if err != nil || u.String() != "dig://host/"+testID {
		t.Errorf("got %v, %v", u, err)
	}
	if _, err := u.WithStore(auth.StoreID{1}); !errors.Is(err, remote.ErrBadURL) {
		t.Errorf("another store: %v, want ErrBadURL", err)
	}
}

func TestURLHub(t *testing.T) {
	for in, hub := range map[string]bool{
		"dig://" + testID: true, "dig://rpc.dig.net/" + testID: true, "https://dig.net": true,
		"dig://notdig.net": false, "dig://dig.net.example": false, "dig://localhost:1": false,
	} {
		u, err := remote.ParseURL(in)
		if err != nil {
			t.Fatal(err)
		}
		if u.Hub() != hub {
			t.Errorf("%s: hub %v, want %v", in, u.Hub(), hub)
		}
	}
}

func TestURLAtOrigin(t *testing.T) {
	u, err := remote.ParseURL("dig://alice@" + testID)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.AtOrigin().String(); got != "https://rpc.dig.net/stores/"+testID {
		t.Errorf("got %v", got)
	}
}

// FuzzParseURL checks that the canonical form of a parsed locator parses to the same value.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"dig://" + testID, "dig://a@h:1/" + testID,
		"http://[::1]:9/stores/" + testID, "https://h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := remote.ParseURL(s)
		if err != nil {
			if !errors.Is(err, remote.ErrBadURL) && !errors.Is(err, remote.ErrInsecure) {
				t.Fatalf("%q: untyped error %v", s, err)
			}
			return
		}
		again, err := remote.ParseURL(u.String())
		if err != nil || again != u {
			t.Fatalf("%q: %#v, and from %q %#v, %v", s, u, u, again, err)
		}
	})
}

func TestURLErrorsKeepPasswords(t *testing.T) {
	for _, s := range []string{"dig://user:secret@host/" + strings.Repeat("ab", 32),
		"https://user:secret@host", "dig://user:secret%@host",
		"user:secret@host", "http://user:secret@example.com/", "dig://a@b:secret@host/x@y"} {
		if _, err := remote.ParseURL(s); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", s, err)
		}
	}
}
