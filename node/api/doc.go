// Package api is the HTTP API of a node: a [Server] is an http.Handler that answers from a node,
// which implements the small interfaces of this package. It stands apart from package node, which
// assembles a node and uses it. node/PROTOCOL.md says what travels.
//
// # What a Server asks for
//
// [Options] has one interface for each group of routes: [Capsules], [Datastores], [Handles],
// [Peers], [Pusher], [Challenger], [Admin]. A group whose interface is nil has no routes; a
// request for one is answered as any unknown route. Absence is fs.ErrNotExist. What an interface
// returns as an [*Error] is the answer; other errors are mapped by what they match.
//
// # Unknown callers
//
// What costs least is checked first: the route, a limit by address, the token bucket of the
// caller, then credentials and signatures. Each table of callers has an end, bodies are read in a
// stream and their bytes are counted against a budget, and a client that sends or reads too
// slowly is disconnected. A refusal is a problem (RFC 9457) with a [Code], and has nothing of the
// request in it but its path.
//
// A Server works behind http.StripPrefix, and starts nothing.
package api
