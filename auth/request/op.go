package request

import "net/http"

// Op is an operation of the protocol. The signature of a request covers it.
type Op string

// The operations of remote/PROTOCOL.md 3.2.
const (
	Fetch        Op = "fetch"         // GET, HEAD of the store itself: its descriptor
	Roots        Op = "roots"         // GET, HEAD /roots
	Module       Op = "module"        // GET, HEAD /module
	Content      Op = "content"       // POST /content
	Proof        Op = "proof"         // POST /proof
	Delta        Op = "delta"         // GET, HEAD, POST /delta
	Push         Op = "push"          // PUT /module
	PushInit     Op = "push-init"     // POST /module/upload
	PushComplete Op = "push-complete" // POST /module/complete
	Tombstone    Op = "tombstone"     // POST /tombstone
)

// OpOf returns the operation of an HTTP method and the path after /stores/{id}, which is "" or
// begins with a slash. It returns false if there is no such operation; a server answers with
// 404 or 405.
func OpOf(method, tail string) (Op, bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var op Op
	switch method + " " + tail {
	case "GET ":
		op = Fetch
	case "GET /roots":
		op = Roots
	case "GET /module":
		op = Module
	case "PUT /module":
		op = Push
	case "POST /module/upload":
		op = PushInit
	case "POST /module/complete":
		op = PushComplete
	case "POST /content":
		op = Content
	case "POST /proof":
		op = Proof
	case "GET /delta", "POST /delta":
		op = Delta
	case "POST /tombstone":
		op = Tombstone
	}
	return op, op != ""
}

// Mutating reports whether the operation changes a store at the server. Such a request is accepted
// only if its nonce can be stored.
func (op Op) Mutating() bool {
	return op == Push || op == PushInit || op == PushComplete || op == Tombstone
}

// Valid reports whether op is one of the ten operations.
func (op Op) Valid() bool {
	switch op {
	case Fetch, Roots, Module, Content, Proof, Delta:
		return true
	}
	return op.Mutating()
}
