// Package rpc answers the dig.* methods over JSON-RPC 2.0, anonymously, for web pages and for
// modules that are too large for a GET. The client is package remote/rpc, whose results and errors
// it writes. See remote/PROTOCOL.md 10.
//
// A [Handler] is an [net/http.Handler] beside a [server.Server], and answers from the same
// [server.ResourceIndex]:
//
//	s := server.New(workspace, nil)
//	mux.Handle("/stores/", s)
//	mux.Handle("/", rpc.NewHandler(s.Contents(), nil))
//
// A resource that is not there is answered with a decoy and never with an error. The methods are
// described in OpenRPC, in two places: by the call rpc.discover, which is where OpenRPC's own tools
// look, and at GET /openrpc.json, for people with a browser. Batches have at most 16 requests and
// an answer at most 16 MiB, one window of which is in memory at a time.
package rpc
