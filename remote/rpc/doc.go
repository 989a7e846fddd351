// Package rpc is a client of the anonymous read tier of an origin: the dig.* methods over JSON-RPC
// 2.0, for modules that are too large for a GET, and for who wants one resource and no clone. The
// handler that answers them is package remote/server/rpc. See remote/PROTOCOL.md 10.
//
// A [Client] asks an origin that it does not believe. [Client.Read] returns the plaintext of one
// resource, held against a root that the caller knows: it stands in the URN, or an anchor names it.
// The origin's own word for the root is compared and never trusted. [Client.Fetch] does the same
// with one window in memory. [Client.Module] reads a module window by window, through origins that
// stall, shrink, grow or lie about lengths without believing any of it; what comes is verified by
// whoever installs it. With [Large] a [remote.Client] goes this way by itself when an origin
// answers a GET with 413:
//
//	client, err := remote.NewClient(url, &remote.ClientOptions{Large: rpc.Large{}})
//
// What is long comes in windows of at most 3 MiB that begin at blocks of 64 KiB ([Window]).
//
// Errors of the node are an [*Error]; those that another attempt may mend are tried again.
package rpc
