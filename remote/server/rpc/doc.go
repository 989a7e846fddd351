// Package rpc serves the dig.* methods over JSON-RPC 2.0 to anonymous clients, for web pages and
// for modules that are too large for a GET. The client is package remote/rpc, which defines the
// results and errors. See remote/PROTOCOL.md 10.
//
// A [Handler] is an [net/http.Handler] beside a [server.Server] and uses the same
// [server.ResourceIndex]:
//
//	s := server.New(workspace, nil)
//	mux.Handle("/stores/", s)
//	mux.Handle("/", rpc.NewHandler(s.Resources(), nil))
//
// A missing resource is answered with a decoy and never with an error. An OpenRPC document
// describes the methods: the method rpc.discover returns it for OpenRPC tools, GET /openrpc.json
// for browsers. A batch has at most 16 requests and a response at most 16 MiB, of which a small
// buffer is in memory at a time.
package rpc
