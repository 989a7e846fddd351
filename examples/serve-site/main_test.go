package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"serve-site": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"publish": publish, "freeport": freePort, "get": get,
		},
	})
}

// publish DIR WORKSPACE makes a workspace with a store of the files in DIR.
func publish(ts *testscript.TestScript, _ bool, args []string) {
	ws, err := digstore.Init(ts.MkAbs(args[1]), nil)
	ts.Check(err)
	defer ws.Close()
	store, err := ws.Create(context.Background(), auth.StoreID{}, &digstore.StoreOptions{Name: "site"})
	ts.Check(err)
	ts.Check(store.StageFS(context.Background(), os.DirFS(ts.MkAbs(args[0]))))
	_, err = store.Commit(context.Background(), nil, nil)
	ts.Check(err)
}

// freeport NAME sets a variable to a port that was just free.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Setenv(args[0], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
}

// get URL FILE fetches a page, waiting for its server to come up.
func get(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := http.Get(args[0])
		if err == nil {
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			ts.Check(err)
			if resp.StatusCode != http.StatusOK {
				ts.Fatalf("%s: %s", args[0], resp.Status)
			}
			ts.Check(os.WriteFile(filepath.Clean(ts.MkAbs(args[1])), body, 0o666))
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v", err)
		}
		time.Sleep(20 * time.Millisecond) // the server is another process: there is nothing to wait on
	}
}
