package main

import (
	"context"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/remote/server"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"clone-and-verify": main})
}

func TestScripts(t *testing.T) {
	ws, err := digstore.Init(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	store, err := ws.Create(t.Context(), auth.StoreID{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	site := fstest.MapFS{"index.html": {Data: []byte("hello")},
		"photo.jpg": {Data: make([]byte, 300_000)}}
	if err := store.StageFS(context.Background(), site); err != nil {
		t.Fatal(err)
	}
	report, err := store.Commit(context.Background(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewServer(server.New(ws, nil))
	t.Cleanup(host.Close)
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(env *testscript.Env) error {
		env.Setenv("URL", host.URL+"/stores/"+store.ID().String())
		env.Setenv("ROOT", report.Generation.Info().Root.String())
		return nil
	}})
}
