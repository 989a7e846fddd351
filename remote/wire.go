package remote

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/merkle"
)

// This file holds what both sides put on the wire: headers, routes, bodies, limits and the fixed texts.
// Spec: remote-protocol §3 to §5. Hex is written in lower case and read in either.

// Headers. The four of the request signature belong to auth/request.
const (
	headerParent    = "X-Dig-Parent"           // 64 hex: the root a push extends; zeros for none
	headerRoot      = "X-Dig-Root"             // 64 hex: the root that is pushed
	headerSignature = "X-Dig-Signature"        // 192 hex: push signature, seed form unless only the tagged one is known
	headerTagged    = "X-Dig-Signature-Tagged" // 192 hex: push signature, tagged form
	headerPushMode  = "X-Dig-Push-Mode"        // modeAdvance or modePending
	headerUploadID  = "X-Dig-Upload-Id"        // what push-init answered
	headerStoreKey  = "X-Dig-Store-Key"        // 96 hex: the key that signed the push
)

// Values of headerPushMode, of "mode" in the answer to push-init, and of its "status".
const (
	modeAdvance    = "advance"
	modePending    = "pending"
	modeInline     = "inline"
	modePresigned  = "presigned"
	statusAdvanced = "advanced"
)

// Content types.
const (
	typeJSON   = "application/json"
	typeModule = "application/wasm"
)

// Limits (remote-protocol 3.8 and §7).
const (
	// DefaultMaxModule is the longest module that either side takes by default: 1 GiB. Modules are streamed.
	DefaultMaxModule = 1 << 30
	// DefaultMinRate is the least rate of an answer, in bytes a second: 1 KiB.
	DefaultMinRate = 1 << 10
	// DefaultMaxContent is the longest resource that a client holds in memory by default: 64 MiB of sealed bytes.
	DefaultMaxContent = 64 << 20

	maxDescriptor  = 4 << 20  // bytes of a descriptor
	maxRoots       = 64 << 20 // bytes of a history
	maxErrorBody   = 64 << 10 // bytes read of an error's body
	maxRequestJSON = 2 << 20  // bytes of a JSON request
	maxAnswerJSON  = 64 << 10 // bytes of the answer to push-init
)

// rootBody is one line of GET /stores/{id}/roots: {"roots":[…]}, oldest first (remote-protocol 3.2).
type rootBody struct {
	Generation uint64 `json:"generation"`
	Root       string `json:"root"`
	Timestamp  int64  `json:"timestamp"` // unix seconds
}

// encodeRoots writes the body of a history, line by line.
func encodeRoots(w io.Writer, lines []module.Generation) error {
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

// decodeRoots reads a history line by line, so that only the lines themselves are held. It checks syntax;
// what the numbers and roots must be is [CheckHistory]'s business.
func decodeRoots(r io.Reader) ([]module.Generation, error) {
	dec := json.NewDecoder(r)
	if err := delim(dec, '{'); err != nil {
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
			if err := decodeNext(dec, new(json.RawMessage)); err != nil {
				return nil, err
			}
			continue
		}
		if found {
			return nil, errors.New("history: roots stands there twice")
		}
		found = true
		if err := delim(dec, '['); err != nil {
			return nil, err
		}
		for dec.More() {
			var b rootBody
			if err := decodeNext(dec, &b); err != nil {
				return nil, fmt.Errorf("history: line %d: %w", len(lines), err)
			}
			root, err := merkle.ParseHash(b.Root)
			if err != nil {
				return nil, fmt.Errorf("history: line %d: %w", len(lines), err)
			}
			lines = append(lines, module.Generation{Number: b.Generation, Root: root, Time: time.Unix(b.Timestamp, 0).UTC()})
		}
		if err := delim(dec, ']'); err != nil {
			return nil, err
		}
	}
	if err := last(dec, '}'); err != nil {
		return nil, err
	}
	if !found {
		return nil, errors.New("history: no member roots")
	}
	return lines, nil
}

// delim takes one bracket off dec.
func delim(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("want %v, got %v", want, t)
	}
	return nil
}

// last takes the closing bracket off dec, after which nothing may follow.
func last(dec *json.Decoder, want json.Delim) error {
	if err := delim(dec, want); err != nil {
		return err
	}
	switch _, err := dec.Token(); {
	case err == nil:
		return errors.New("more follows the end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// decodeNext takes one value off dec, which a stranger wrote.
func decodeNext(dec *json.Decoder, v any) error {
	var text json.RawMessage
	if err := dec.Decode(&text); err != nil {
		return err
	}
	return strictjson.Unmarshal(text, v)
}

// initBody is the request of push-init (remote-protocol 4.5).
type initBody struct {
	ParentRoot  string `json:"parent_root"` // "" for none
	NewRoot     string `json:"new_root"`
	ProgramHash string `json:"program_hash"` // SHA-256 of the module
	SizeBytes   int64  `json:"size_bytes"`
	StorePubkey string `json:"store_pubkey"`
}

// initAnswer is the answer to it.
type initAnswer struct {
	Mode     string `json:"mode,omitempty"`
	Status   string `json:"status,omitempty"`
	UploadID string `json:"upload_id,omitempty"`
	URL      string `json:"url,omitempty"`
}

// completeBody is the request of push-complete (remote-protocol 4.6).
type completeBody struct {
	UploadID string `json:"upload_id"`
	NewRoot  string `json:"new_root"`
}

// errorBody is an error as gateways write it, and as our server does for who prefers JSON.
type errorBody struct {
	Error   string `json:"error"`
	Message string `json:"message,omitempty"`
}

// errorMessage takes the server's words out of an error body of either form (remote-protocol §3): message,
// else error, else the text; shortened, without control characters.
func errorMessage(body []byte) string {
	text := string(body)
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '{' {
		var b errorBody
		if json.Unmarshal(trimmed, &b) == nil {
			switch {
			case b.Message != "":
				text = b.Message
			case b.Error != "":
				text = b.Error
			}
		}
	}
	return printable(text, 1<<10)
}

// etag writes a root as a strong entity tag.
func etag(root merkle.Hash) string { return `"` + root.String() + `"` }

// parseETag reads what etag writes; weak tags and anything else are not one.
func parseETag(s string) (merkle.Hash, error) {
	if len(s) != 66 || s[0] != '"' || s[65] != '"' {
		return merkle.Hash{}, errors.New("no strong entity tag of 64 hex digits")
	}
	return merkle.ParseHash(s[1:65])
}

// printable makes one line of foreign text: at most n bytes, valid UTF-8, control characters as blanks.
func printable(s string, n int) string {
	s = strings.ToValidUTF8(clip(s, n), "\uFFFD")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s))
}
