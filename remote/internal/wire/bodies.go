package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/merkle"
)

// Headers. The four of the request signature belong to auth/request.
const (
	HeaderParent    = "X-Dig-Parent"           // 64 hex: the root that a push extends; zeros for none
	HeaderRoot      = "X-Dig-Root"             // 64 hex: the root that is pushed
	HeaderSignature = "X-Dig-Signature"        // 192 hex: push signature, either form
	HeaderTagged    = "X-Dig-Signature-Tagged" // 192 hex: push signature, tagged form
	HeaderPushMode  = "X-Dig-Push-Mode"        // ModeAdvance or ModePending
	HeaderUploadID  = "X-Dig-Upload-Id"        // the upload id of the answer to push-init
	HeaderStoreKey  = "X-Dig-Store-Key"        // 96 hex: the key that signed the push
)

// Values of HeaderPushMode, of "mode" in the answer to push-init, and of its "status".
const (
	ModeAdvance    = "advance"
	ModePending    = "pending"
	ModeInline     = "inline"
	ModePresigned  = "presigned"
	StatusAdvanced = "advanced"
)

// LocalHost is the name of the node in a local network.
const LocalHost = "dig.local"

// Content types.
const (
	TypeJSON   = "application/json"
	TypeModule = "application/wasm"
)

// Limits (remote/PROTOCOL.md 4.4 and 9.1).
const (
	DefaultMaxModule = 1 << 30  // bytes of a module that either side accepts by default
	DefaultMaxDelta  = 64 << 20 // decoded bytes of chunks and rows in one delta, by default
	MaxHave          = 100_000  // chunks in the have list of a client

	MaxDescriptor  = 4 << 20  // bytes of a descriptor
	MaxRoots       = 64 << 20 // bytes of a history
	MaxErrorBody   = 64 << 10 // bytes read of the body of an error
	MaxRequestJSON = 2 << 20  // bytes of a JSON request
	MaxAnswerJSON  = 64 << 10 // bytes of the answer to push-init
)

// rootBody is one line of GET /stores/{id}/roots: {"roots":[…]}, oldest first (remote/PROTOCOL.md
// 5.2).
type rootBody struct {
	Generation uint64 `json:"generation"`
	Root       string `json:"root"`
	Timestamp  int64  `json:"timestamp"` // unix seconds
}

// EncodeRoots writes the body of a history, line by line.
func EncodeRoots(w io.Writer, lines []module.Generation) error {
	b := []byte(`{"roots":[`)
	for i, g := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"generation":`...)
		b = strconv.AppendUint(b, g.Number, 10)
		b = append(b, `,"root":"`...)
		b = hex.AppendEncode(b, g.Root[:])
		b = append(b, `","timestamp":`...)
		b = strconv.AppendInt(b, g.Time.Unix(), 10)
		b = append(b, '}')
		if len(b) > 32<<10 {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := w.Write(append(b, "]}"...))
	return err
}

// DecodeRoots reads a history line by line, so that only the lines are in memory. It checks the
// syntax only: package remote checks the numbers and roots.
func DecodeRoots(r io.Reader) ([]module.Generation, error) {
	dec := json.NewDecoder(r)
	if err := Delim(dec, '{'); err != nil {
		return nil, err
	}
	var (
		lines []module.Generation
		found bool
	)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		if name != "roots" {
			if err := DecodeNext(dec, new(json.RawMessage)); err != nil {
				return nil, err
			}
			continue
		}
		if found {
			return nil, errors.New("history: duplicate member \"roots\"")
		}
		found = true
		if err := Delim(dec, '['); err != nil {
			return nil, err
		}
		for dec.More() {
			var b rootBody
			if err := DecodeNext(dec, &b); err != nil {
				return nil, fmt.Errorf("history: line %d: %w", len(lines), err)
			}
			root, err := merkle.ParseHash(b.Root)
			if err != nil {
				return nil, fmt.Errorf("history: line %d: %w", len(lines), err)
			}
			lines = append(lines,
				module.Generation{Number: b.Generation, Root: root, Time: time.Unix(b.Timestamp, 0).UTC()})
		}
		if err := Delim(dec, ']'); err != nil {
			return nil, err
		}
	}
	if err := LastDelim(dec, '}'); err != nil {
		return nil, err
	}
	if !found {
		return nil, errors.New("history: member \"roots\" is missing")
	}
	return lines, nil
}

// Delim reads one bracket from dec.
func Delim(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("want %v, found %v", want, t)
	}
	return nil
}

// LastDelim reads the closing bracket from dec. Anything after it is an error.
func LastDelim(dec *json.Decoder, want json.Delim) error {
	if err := Delim(dec, want); err != nil {
		return err
	}
	switch _, err := dec.Token(); {
	case err == nil:
		return errors.New("data after the end of the JSON value")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// DecodeNext reads one untrusted value from dec.
func DecodeNext(dec *json.Decoder, v any) error {
	var text json.RawMessage
	if err := dec.Decode(&text); err != nil {
		return err
	}
	return strictjson.Unmarshal(text, v)
}

// InitBody is the request of push-init (remote/PROTOCOL.md 6.5).
type InitBody struct {
	ParentRoot  string `json:"parent_root"` // "" for none
	NewRoot     string `json:"new_root"`
	ProgramHash string `json:"program_hash"` // SHA-256 of the module
	SizeBytes   int64  `json:"size_bytes"`
	StorePubkey string `json:"store_pubkey"`
}

// InitAnswer is the answer to push-init.
type InitAnswer struct {
	Mode     string `json:"mode,omitempty"`
	Status   string `json:"status,omitempty"`
	UploadID string `json:"upload_id,omitempty"`
	URL      string `json:"url,omitempty"`
}

// CompleteBody is the request of push-complete (remote/PROTOCOL.md 6.7).
type CompleteBody struct {
	UploadID string `json:"upload_id"`
	NewRoot  string `json:"new_root"`
}

// ErrorBody is an error in JSON: from gateways, and from package server to clients that prefer
// JSON.
type ErrorBody struct {
	Error   string `json:"error"`
	Message string `json:"message,omitempty"`
}

// ErrorMessage returns the server's message of an error body of either form (remote/PROTOCOL.md
// 4.2): the member message, else error, else the text. It is shortened to one line.
func ErrorMessage(body []byte) string {
	text := string(body)
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '{' {
		var b ErrorBody
		if json.Unmarshal(trimmed, &b) == nil {
			switch {
			case b.Message != "":
				text = b.Message
			case b.Error != "":
				text = b.Error
			}
		}
	}
	return oneline.Excerpt(text, 1<<10)
}

// ETag returns a root as a strong entity tag.
func ETag(root merkle.Hash) string { return `"` + root.String() + `"` }

// ParseETag reads the entity tag that ETag returns. Any other, such as a weak one, is an error.
func ParseETag(s string) (merkle.Hash, error) {
	if len(s) != 66 || s[0] != '"' || s[65] != '"' {
		return merkle.Hash{}, errors.New("want a strong entity tag of 64 hex digits")
	}
	return merkle.ParseHash(s[1:65])
}

// Clip returns at most n bytes of an untrusted text, for a message.
func Clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
