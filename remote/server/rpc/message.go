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
	maxBody = 1 << 20 // bytes of a body
	maxID   = 256     // bytes of an id
)

// A message is a decoded request. ID is nil for a notification, which gets no reply.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  *string         `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// A reply is the response to one message. One of Result and Err is set.
type reply struct {
	ID     json.RawMessage
	Result any
	Err    *rpc.Error
}

var null = json.RawMessage("null")

// MarshalJSON implements json.Marshaler. It writes the members in their usual order.
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

// parseBody splits a body into at most most messages. There is one if batch is false.
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

// parseMessage decodes one message. The id is null in an error for a message without a valid id or
// with a duplicate member name, which parsers read differently.
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
