// Package api is the HTTP API of a node. A [Server] is an http.Handler over a node, which
// implements the small interfaces of this package. It does not depend on package node, which
// assembles a node and uses it. The wire format is in node/PROTOCOL.md.
//
// # What a Server asks for
//
// [Options] has one interface for each group of routes: [Capsules], [Datastores], [Handles],
// [Peers], [Pusher], [Challenger], [Admin]. A group whose interface is nil has no routes; requests
// are answered like those of an unknown route. A missing object is fs.ErrNotExist. An [*Error] from
// an interface is sent as it is; other errors are mapped by the errors that they match.
//
// # Unknown callers
//
// Cheap checks come first: the route, a limit by address, the token bucket of the caller, then
// credentials and signatures. Each table of callers is bounded, bodies are read as streams within a
// budget of bytes, and a client that sends or reads too slowly is disconnected. A refusal is a
// problem (RFC 9457) with a [Code]. It contains nothing of the request but its path.
//
// A Server works behind http.StripPrefix, and starts nothing.
package api
