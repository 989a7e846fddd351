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
	CodeParse          = -32700 // the body is not JSON
	CodeInvalidRequest = -32600 // not a request, or an empty or too long batch
	CodeNoMethod       = -32601 // the node does not have this method
	// CodeParams: parameters are missing or malformed, or "latest" of a store without a generation
	CodeParams      = -32602
	CodeInternal    = -32603 // the node failed
	CodeRuntime     = -32000 // generic; package remote/server/rpc: a batch asks for too many bytes
	CodeLimited     = -32003 // try again later
	CodeUnavailable = -32004 // the node does not hold the store or generation; not used for resources
	CodeUnanchored  = -32005 // the chain does not confirm the root
	CodeTooLarge    = -32015 // the metadata is over 3 MiB
)

// An Error is an error of JSON-RPC, with the node's message. With [CodeUnavailable] it matches
// [fs.ErrNotExist], and with [CodeUnanchored] [remote.ErrVerification].
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error returns the code and the message.
func (e *Error) Error() string {
	return fmt.Sprintf("rpc: error %d: %q", e.Code, wire.Clip(e.Message, 1<<10))
}

// As sets target, if it is a **[remote.StatusError], to an error with status 200, the status of the
// HTTP response (remote/PROTOCOL.md 10.5). It returns false for [CodeLimited] and the codes that Is
// matches.
func (e *Error) As(target any) bool {
	status, ok := target.(**remote.StatusError)
	if !ok || e.Code == CodeUnavailable || e.Code == CodeUnanchored || e.Code == CodeLimited {
		return false
	}
	*status = &remote.StatusError{Method: http.MethodPost, Path: "/", Code: http.StatusOK,
		Message: e.Error()}
	return true
}

// Is reports whether the code means target.
func (e *Error) Is(target error) bool {
	return e.Code == CodeUnavailable && target == fs.ErrNotExist ||
		e.Code == CodeUnanchored && target == remote.ErrVerification
}
