package conform_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/conform"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// Check a server for conformance.
func ExampleRun() {
	ctx := context.Background()
	publisher := auth.NewKey([32]byte{1})
	store := remotetest.NewMemory(auth.StoreIDFromKey(publisher.PublicKey()), nil)
	if _, err := store.Publish(ctx, publisher,
		fstest.MapFS{"index.html": {Data: []byte("<h1>hello</h1>")}}); err != nil {
		log.Fatal(err)
	}
	origin := remotetest.NewOrigin(server.New(remotetest.NewStores(nil, store), nil))
	defer origin.Close()

	// A program has a host name here, and needs no Transport.
	transport, err := remote.NewTransport(&remote.ClientOptions{Dial: origin.Dial})
	if err != nil {
		log.Fatal(err)
	}
	u, err := remote.ParseURL("http://127.0.0.1/stores/" + store.ID().String())
	if err != nil {
		log.Fatal(err)
	}
	report, err := conform.Run(ctx, u,
		&conform.Options{Transport: transport, Only: []string{"auth/replay", "module/*", "rpc/health"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range report.Results {
		if r.Verdict != conform.Pass {
			fmt.Println(r.Verdict, r.Check, r.Found, r.Reason)
		}
	}
	fmt.Println(report.Count(conform.Pass), "passed,", report.Err())
	// Output:
	// skip module/too-large  the module comes by GET
	// skip module/root-selects  the store has one generation only
	// skip rpc/health  there is no JSON-RPC tier: POST / is answered 404 "not found"
	// 16 passed, <nil>
}

// Write the report as text and as JUnit XML.
func ExampleReport_WriteJUnit() {
	report := &conform.Report{Origin: "https://example.org", Results: []conform.Result{
		{Check: "auth/replay", Section: "§2.4", Level: conform.Must, Verdict: conform.Fail, Wanted: "status 401", Found: "200"},
	}}
	if err := report.WriteJUnit(os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output:
	// <?xml version="1.0" encoding="UTF-8"?>
	// <testsuites>
	//   <testsuite name="auth" tests="1" failures="1" errors="0" skipped="0" time="0.000" timestamp="0001-01-01T00:00:00" hostname="https://example.org">
	//     <testcase classname="dig.auth" name="replay (§2.4)" time="0.000">
	//       <failure message="200" type="must">wanted: status 401&#xA;found: 200</failure>
	//     </testcase>
	//   </testsuite>
	// </testsuites>
}
