// Package rpc is the anonymous read tier of an origin: the dig.* methods over JSON-RPC 2.0, for web pages, for modules
// that are too large for a GET, and for who wants one resource and no clone. Spec: remote-protocol §8.
//
// # Reading
//
// A [Client] asks an origin that it does not believe. [Client.Read] returns the plaintext of one resource, held against
// a root that the caller knows: it stands in the URN, or an anchor names it. The origin's own word for the root is
// compared and never trusted. [Client.Fetch] does the same with one window in memory. [Client.Module] reads a module window by window, through origins that stall, shrink,
// grow or lie about lengths without believing any of it; what comes is verified by whoever installs it. With [Large] a
// [remote.Client] goes this way by itself when an origin answers a GET with 413:
//
//	client, err := remote.NewClient(url, &remote.ClientOptions{Large: rpc.Large{}})
//
// # Serving
//
// A [Handler] is an [net/http.Handler] beside a [server.Server], and answers from the same [server.Contents]:
//
//	server := server.New(workspace, nil)
//	mux.Handle("/stores/", server)
//	mux.Handle("/", rpc.NewHandler(server.Contents(), nil))
//
// What is long comes in windows of at most 3 MiB that begin at blocks of 64 KiB ([Window]). A resource that is not
// there is answered with a decoy and never with an error. The methods are described in OpenRPC, in two places: by the
// call rpc.discover, which is where OpenRPC's own tools look, and at GET /openrpc.json, for people with a browser. Batches have at most 16 requests and an answer at most 16 MiB, one window of which is in memory at a time.
//
// Errors of the node are an [*Error]; those that another attempt may mend are tried again.
package rpc
