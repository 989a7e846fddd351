package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node/storage"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"embed-node": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fill": fill, "freeport": freePort, "get": get,
		},
	})
}

// fill DIR TEXT puts a datastore with the id 0x01 and zeros into the capsules of a node.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	st, err := storage.OpenDir(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	defer st.Close()
	m, err := capsule.Split(ctx, auth.StoreID{1}, strings.NewReader(args[1]), nil,
		func(d capsule.Descriptor, r io.Reader) error { return st.Put(ctx, d, r) })
	ts.Check(err)
	ts.Check(st.Commit(ctx, &storage.Generation{Manifest: m, Head: true}))
}

// freeport NAME sets a variable to a port that was just free.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Setenv(args[0], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
}

// get URL FILE fetches what has status 200 in the end.
func get(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		status := "no answer"
		resp, err := http.Get(args[0])
		if err == nil {
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			ts.Check(err)
			if resp.StatusCode == http.StatusOK {
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), body, 0o666))
				return
			}
			status = resp.Status
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: %s %v", args[0], status, err)
		}
	}
}
