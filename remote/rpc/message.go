package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/remote"
)

// Codes of errors (remote/PROTOCOL.md 10.5).
const (
	CodeParse          = -32700 // the body is no JSON
	CodeInvalidRequest = -32600 // no request, or an empty or too long batch
	CodeNoMethod       = -32601 // the node does not have this method
	CodeParams         = -32602 // parameters are missing or malformed; "latest" of a store without a generation
	CodeInternal       = -32603 // the node failed
	CodeRuntime        = -32000 // generic; ours: the batch asks for more bytes than one answer has
	CodeLimited        = -32003 // ask again later
	CodeUnavailable    = -32004 // store or generation are not here. Never for a resource that is not
	CodeUnanchored     = -32005 // the chain does not confirm the root
	CodeTooLarge       = -32015 // the metadata is over 3 MiB
)

// An Error is an error of JSON-RPC, with the node's words. It matches, by its code: [CodeUnavailable]
// [fs.ErrNotExist], [CodeUnanchored] [remote.ErrVerification]; no other code matches a sentinel.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error gives code and words.
func (e *Error) Error() string {
	return fmt.Sprintf("rpc: error %d: %q", e.Code, clip(e.Message, 1<<10))
}

// As gives every other error than those that Is matches, and [CodeLimited], as a [*remote.StatusError] of the status 200
// that it came with (remote/PROTOCOL.md 10.5), for who asks for one.
func (e *Error) As(target any) bool {
	status, ok := target.(**remote.StatusError)
	if !ok || e.Code == CodeUnavailable || e.Code == CodeUnanchored || e.Code == CodeLimited {
		return false
	}
	*status = &remote.StatusError{Method: http.MethodPost, Path: "/", Code: http.StatusOK, Message: e.Error()}
	return true
}

// Is reports whether target is what the code stands for.
func (e *Error) Is(target error) bool {
	return e.Code == CodeUnavailable && target == fs.ErrNotExist || e.Code == CodeUnanchored && target == remote.ErrVerification
}

// Limits of a request.
const (
	maxBody = 1 << 20 // bytes of it
	maxID   = 256     // bytes of an id
)

// A message is a request as it comes. ID is nil for a notification, which gets no reply.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  *string         `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// A reply is the answer to one message. One of Result and Err is set.
type reply struct {
	ID     json.RawMessage
	Result any
	Err    *Error
}

var null = json.RawMessage("null")

// MarshalJSON writes the members in their usual order.
func (r *reply) MarshalJSON() ([]byte, error) {
	if r.ID == nil {
		r.ID = null
	}
	if r.Err != nil {
		return json.Marshal(struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Error   *Error          `json:"error"`
		}{"2.0", r.ID, r.Err})
	}
	return json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  any             `json:"result"`
	}{"2.0", r.ID, r.Result})
}

// parseBody reads a body into its messages, a single one if batch is false.
func parseBody(body []byte, most int) (messages []json.RawMessage, batch bool, err *Error) {
	body = bytes.TrimSpace(body)
	if !json.Valid(body) {
		return nil, false, &Error{Code: CodeParse, Message: "parse error"}
	}
	if body[0] != '[' {
		return []json.RawMessage{body}, false, nil
	}
	if e := json.Unmarshal(body, &messages); e != nil || len(messages) == 0 {
		return nil, false, &Error{Code: CodeInvalidRequest, Message: "empty batch"}
	}
	if len(messages) > most {
		return nil, false, &Error{Code: CodeInvalidRequest, Message: fmt.Sprintf("batch of %d requests, at most %d are answered", len(messages), most)}
	}
	return messages, true, nil
}

// parseMessage reads one message. What has no valid id is answered under null, as is what two readers could read
// differently: a name that stands twice.
func parseMessage(text json.RawMessage) (m message, err *Error) {
	invalid := &Error{Code: CodeInvalidRequest, Message: "invalid request"}
	if e := strictjson.Unmarshal(text, &m); e != nil || text[0] != '{' {
		return message{ID: null}, invalid
	}
	if m.ID != nil && (m.ID[0] == '{' || m.ID[0] == '[' || m.ID[0] == 't' || m.ID[0] == 'f' || len(m.ID) > maxID) {
		return message{ID: null}, invalid
	}
	if m.Version != "2.0" || m.Method == nil {
		if m.ID == nil {
			m.ID = null
		}
		return m, invalid
	}
	return m, nil
}

// clip shortens what came from outside before it goes into a message.
func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
