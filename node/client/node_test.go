package client_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/client"
)

// handles knows one name.
type handles struct{}

func (handles) Resolve(_ context.Context, name string) (*api.Handle, error) {
	if name != "mydata" {
		return nil, fs.ErrNotExist
	}
	return &api.Handle{Name: name, Store: auth.StoreID{1, 2}, Tier: 4,
		Registered: time.Unix(1_704_067_200, 0), Expires: time.Unix(1_804_067_200, 0),
		Metadata: []byte(`{"a":1}`)}, nil
}

func TestResolve(t *testing.T) {
	c := newClient(t, startNode(t, node.Config{Handles: handles{}}), nil)
	for _, name := range []string{"mydata", "MyData.dig"} {
		got, err := c.Resolve(t.Context(), name)
		want := &client.Handle{Name: "mydata", Store: auth.StoreID{1, 2}, Tier: 4,
			Registered: time.Unix(1_704_067_200, 0).UTC(),
			Expires:    time.Unix(1_804_067_200, 0).UTC(), Metadata: []byte(`{"a":1}`)}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, expected %+v", name, got, err, want)
		}
	}
	if _, err := c.Resolve(t.Context(), "other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another name: %v, expected fs.ErrNotExist", err)
	}
	for _, name := range []string{"", "-a", "a-", "a/b", "a?b", "ä", "..", strings.Repeat("a", 64)} {
		var status *client.StatusError
		if h, err := c.Resolve(t.Context(), name); err == nil || errors.As(err, &status) {
			t.Errorf("%q was sent: %+v, %v", name, h, err)
		}
	}
}

func TestResolveLies(t *testing.T) {
	base := startNode(t, node.Config{Handles: handles{}})
	for name, tell := range map[string]lie{
		"another name":     member(set("handle", "other")),
		"no datastore":     member(func(m map[string]any) { delete(m, "datastore_id") }),
		"half a datastore": member(set("datastore_id", "0x12")),
		"no tier":          member(set("tier", 0)),
		"another tier":     member(set("tier", 7)),
		"endless": func(_ testing.TB, r *http.Response) {
			r.Body, r.ContentLength = io.NopCloser(zeros{}), -1
			r.Header.Del("Content-Length")
		},
	} {
		url, _ := lying(t, base, tell)
		if h, err := newClient(t, url, nil).Resolve(soon(t), "mydata"); !errors.Is(err,
			client.ErrProtocol) {
			t.Errorf("%s: %+v, %v, expected ErrProtocol", name, h, err)
		}
	}
}

func TestInfo(t *testing.T) {
	base := startNode(t, node.Config{Version: "1.2.3", PeerPort: 8444})
	c := newClient(t, base, nil)
	got, err := c.Info(t.Context())
	if err != nil || got.Key != nodeKey.PublicKey() || got.NodeID != nodeKey.ID() ||
		got.Version != "1.2.3" || got.Ports["p2p"] != 8444 || got.API != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	for name, tell := range map[string]lie{
		"another id": member(set("node_id", "dig1"+strings.Repeat("0", 16))),
		"another key": member(set("public_key",
			hex.EncodeToString(make([]byte, 32)))),
		"no key": member(func(m map[string]any) { delete(m, "public_key") }),
	} {
		url, _ := lying(t, base, tell)
		if i, err := newClient(t, url, nil).Info(t.Context()); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: %+v, %v, expected ErrProtocol", name, i, err)
		}
	}
}

func TestStatus(t *testing.T) {
	token, err := hex.DecodeString(adminToken)
	if err != nil {
		t.Fatal(err)
	}
	gate := &api.AdminGate{Token: func() ([]byte, error) { return token, nil }}
	base := startNode(t, node.Config{Admin: gate.Wrap, Version: "1.2.3"})
	got, err := newClient(t, base, &client.Options{AdminToken: adminToken}).Status(t.Context())
	if err != nil || got.NodeID != nodeKey.ID() || got.Version != "1.2.3" ||
		got.Earnings.TotalDIG == "" || !strings.Contains(string(got.JSON), `"proof_profile"`) {
		t.Errorf("%+v, %v", got, err)
	}
	for name, o := range map[string]*client.Options{
		"no token": nil, "another token": {AdminToken: strings.Repeat("0", 64)},
	} {
		if s, err := newClient(t, base, o).Status(t.Context()); !errors.Is(err,
			request.ErrUnauthenticated) {
			t.Errorf("%s: %+v, %v, expected request.ErrUnauthenticated", name, s, err)
		}
	}
}

// peers knows one node.
type peers struct{}

func (peers) Peers(context.Context) ([]api.Peer, error) {
	return []api.Peer{{Key: validatorKey.PublicKey(), Reputation: 0.5,
		Endpoint:     netip.MustParseAddrPort("192.0.2.1:8444"),
		Capabilities: []string{"storage"}, LastSeen: time.Unix(1_704_067_200, 0)}}, nil
}

func TestPeers(t *testing.T) {
	base := startNode(t, node.Config{Peers: peers{}})
	got, err := newClient(t, base, nil).Peers(t.Context())
	want := []client.Peer{{NodeID: validatorKey.ID(), Key: validatorKey.PublicKey(),
		Endpoint: "192.0.2.1:8444", Capabilities: []string{"storage"}, Reputation: 0.5,
		LastSeen: time.Unix(1_704_067_200, 0).UTC()}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, expected %+v", got, err, want)
	}
	url, _ := lying(t, base, member(func(m map[string]any) { delete(m, "peers") }))
	if _, err := newClient(t, url, nil).Peers(t.Context()); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("%v, expected ErrProtocol", err)
	}
}
