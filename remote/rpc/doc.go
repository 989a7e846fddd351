// Package rpc is a client of the anonymous read tier of an origin: the dig.* methods over JSON-RPC
// 2.0. It is for modules that are too large for a GET, and for reading one resource without a
// clone. The handler is package remote/server/rpc. See remote/PROTOCOL.md 10.
//
// A [Client] does not trust its origin. [Client.Read] returns the plaintext of one resource,
// verified against a root that the URN or an anchor names. The root that the origin names is
// compared with it. [Client.Fetch] does the same with one window in memory. [Client.Module] reads a
// module in windows, and detects an origin whose windows contradict each other; the caller verifies
// the content. With [WindowFetcher] a [remote.Client] uses this package when an origin answers a
// GET with 413:
//
//	o := &remote.ClientOptions{WindowFetcher: rpc.WindowFetcher{}}
//
// Modules and resources are read in windows of at most 3 MiB that begin at blocks of 64 KiB; see
// [Window].
//
// An error that the node sends is an [*Error]. Requests that fail temporarily are retried.
package rpc
