package rpc

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Codes of errors (remote/PROTOCOL.md 10.5).
const (
	CodeParse          = -32700 // the body is no JSON
	CodeInvalidRequest = -32600 // no request, or an empty or too long batch
	CodeNoMethod       = -32601 // the node does not have this method
	// parameters are missing or malformed; "latest" of a store without a generation
	CodeParams      = -32602
	CodeInternal    = -32603 // the node failed
	CodeRuntime     = -32000 // generic; ours: the batch asks for more bytes than one answer has
	CodeLimited     = -32003 // ask again later
	CodeUnavailable = -32004 // store or generation are not here. Never for a resource that is not
	CodeUnanchored  = -32005 // the chain does not confirm the root
	CodeTooLarge    = -32015 // the metadata is over 3 MiB
)

// An Error is an error of JSON-RPC, with the node's words. It matches, by its code:
// [CodeUnavailable] [fs.ErrNotExist], [CodeUnanchored] [remote.ErrVerification]; no other code
// matches a sentinel.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error gives code and words.
func (e *Error) Error() string {
	return fmt.Sprintf("rpc: error %d: %q", e.Code, wire.Clip(e.Message, 1<<10))
}

// As gives every other error than those that Is matches, and [CodeLimited], as a
// [*remote.StatusError] of the status 200 that it came with (remote/PROTOCOL.md 10.5), for who asks
// for one.
func (e *Error) As(target any) bool {
	status, ok := target.(**remote.StatusError)
	if !ok || e.Code == CodeUnavailable || e.Code == CodeUnanchored || e.Code == CodeLimited {
		return false
	}
	*status = &remote.StatusError{Method: http.MethodPost, Path: "/", Code: http.StatusOK,
		Message: e.Error()}
	return true
}

// Is reports whether target is what the code stands for.
func (e *Error) Is(target error) bool {
	return e.Code == CodeUnavailable && target == fs.ErrNotExist ||
		e.Code == CodeUnanchored && target == remote.ErrVerification
}
