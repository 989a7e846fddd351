package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// runNode NAME [plots=DIR] [handle=ID] runs a real node in this process, with its URL in NAME. Its
// key is the user's node key if there is one. It has the plots in DIR, and the handle "mydata" is
// the datastore ID. The token "owner-s3cret" and the user ann with the password "pass:word" are
// the operator's; the token "guest-s3cret" is known too.
func runNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: node NAME [plots=DIR] [handle=ID]")
	}
	key, err := auth.ReadNodeKey(filepath.Join(ts.Getenv("DIG_IDENTITY_DIR"), "node_key.bin"))
	if err != nil {
		key = auth.NewNodeKey([32]byte{1})
	}
	token := sha256.Sum256([]byte("control"))
	gate := &api.AdminGate{Token: func() ([]byte, error) { return token[:], nil }}
	c := node.Config{Key: key, Storage: storage.NewMemory(nil), Credential: nodeCredential,
		Admin: gate.Wrap, Version: "9.8.7"}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "plots":
			c.Volumes = []tier.Volume{{Path: ts.MkAbs(value), Class: economy.SSD}}
		case "handle":
			id, err := auth.ParseStoreID(value)
			ts.Check(err)
			c.Handles = oneHandle(id)
		default:
			ts.Fatalf("unknown argument %s", arg)
		}
	}
	n, err := node.New(context.Background(), c)
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	<-n.Ready()
	srv := httptest.NewServer(n)
	ts.Defer(func() {
		cancel()
		if err := <-ended; err != nil {
			ts.Logf("node: %v", err)
		}
		srv.Close()
	})
	ts.Setenv(args[0], srv.URL)
	ts.Setenv(args[0]+"_TOKEN", hex.EncodeToString(token[:]))
}

func nodeCredential(r *http.Request) (api.Credential, error) {
	user, password, basic := r.BasicAuth()
	switch head := r.Header.Get("Authorization"); {
	case head == "":
		return api.Credential{}, nil
	case head == "Bearer owner-s3cret", basic && user == "ann" && password == "pass:word":
		return api.Credential{Name: "owner", Owner: true}, nil
	case head == "Bearer guest-s3cret":
		return api.Credential{Name: "guest"}, nil
	}
	return api.Credential{}, errors.New("unknown credential")
}

// oneHandle is a datastore with the handle "mydata".
type oneHandle auth.StoreID

func (h oneHandle) Resolve(_ context.Context, name string) (*api.Handle, error) {
	if name != "mydata" {
		return nil, fs.ErrNotExist
	}
	return &api.Handle{Name: name, Store: auth.StoreID(h), Tier: 4,
		Registered: time.Unix(1_704_067_200, 0)}, nil
}

// lyingNode NAME URL PATH stands before a node, with its URL in NAME. It changes the last byte of
// the answers below a path.
func lyingNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: lyingnode NAME URL PATH")
	}
	target, err := url.Parse(args[1])
	ts.Check(err)
	proxy := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			if strings.HasPrefix(r.Request.URL.Path, args[2]) && len(b) > 0 {
				b[len(b)-1] ^= 1
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
			return nil
		}}
	srv := httptest.NewServer(proxy)
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
}
