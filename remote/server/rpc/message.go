package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/remote/rpc"
)

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
	Err    *rpc.Error
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
			Error   *rpc.Error      `json:"error"`
		}{"2.0", r.ID, r.Err})
	}
	return json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  any             `json:"result"`
	}{"2.0", r.ID, r.Result})
}

// parseBody reads a body into its messages, a single one if batch is false.
func parseBody(body []byte, most int) (messages []json.RawMessage, batch bool, err *rpc.Error) {
	body = bytes.TrimSpace(body)
	if !json.Valid(body) {
		return nil, false, &rpc.Error{Code: rpc.CodeParse, Message: "parse error"}
	}
	if body[0] != '[' {
		return []json.RawMessage{body}, false, nil
	}
	if e := json.Unmarshal(body, &messages); e != nil || len(messages) == 0 {
		return nil, false, &rpc.Error{Code: rpc.CodeInvalidRequest, Message: "empty batch"}
	}
	if len(messages) > most {
		return nil, false, &rpc.Error{Code: rpc.CodeInvalidRequest,
			Message: fmt.Sprintf("batch of %d requests, at most %d are answered", len(messages), most)}
	}
	return messages, true, nil
}

// parseMessage reads one message. What has no valid id is answered under null, as is what two
// readers could read differently: a name that stands twice.
func parseMessage(text json.RawMessage) (m message, err *rpc.Error) {
	invalid := &rpc.Error{Code: rpc.CodeInvalidRequest, Message: "invalid request"}
	if e := strictjson.Unmarshal(text, &m); e != nil || text[0] != '{' {
		return message{ID: null}, invalid
	}
	if m.ID != nil &&
		(m.ID[0] == '{' || m.ID[0] == '[' || m.ID[0] == 't' || m.ID[0] == 'f' || len(m.ID) > maxID) {
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
