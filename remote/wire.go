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

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
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
	// DefaultMaxModule is the longest module that either side takes by default: 256 MiB.
	DefaultMaxModule = 256 << 20

	maxDescriptor  = 4 << 20  // bytes of a descriptor
	maxRoots       = 64 << 20 // bytes of a history
	maxErrorBody   = 64 << 10 // bytes read of an error's body
	maxRequestJSON = 2 << 20  // bytes of a JSON request
	maxAnswerJSON  = 64 << 10 // bytes of the answer to push-init
)

// A Descriptor is what an origin says of a store: GET /stores/{id} (remote-protocol 3.1). Nothing in it is
// to be believed before a module has been verified.
type Descriptor struct {
	Root      merkle.Hash    // the head; never a pending root
	Size      int64          // bytes of the head's module
	PublicKey auth.PublicKey // the key the server checks pushes with; a hint. Zero: not said
	PushSig   auth.Signature // signature of the head, the tagged form when that is known. Zero: none
	Untagged  auth.Signature // the seed form, when it is known besides. Zero: not said
	// Tombstones are the entries that decode; their signatures are unchecked. Others are left out.
	Tombstones []auth.Tombstone
}

// descriptorBody is the JSON of a Descriptor, members in the order of 3.1.
type descriptorBody struct {
	CurrentRoot string          `json:"current_root"`
	Size        int64           `json:"size"`
	PublicKey   string          `json:"public_key"`
	PushSig     string          `json:"push_sig"`
	Untagged    string          `json:"push_sig_untagged,omitempty"`
	Tombstones  []tombstoneBody `json:"tombstones"`
}

// tombstoneBody is a tombstone in a descriptor, and the request of POST /stores/{id}/tombstone.
type tombstoneBody struct {
	Record    string `json:"record"`
	Signature string `json:"signature"`
}

// MarshalJSON writes the members in the order of remote-protocol 3.1.
func (d *Descriptor) MarshalJSON() ([]byte, error) {
	b := descriptorBody{CurrentRoot: d.Root.String(), Size: d.Size, Tombstones: []tombstoneBody{}}
	if !d.PublicKey.IsZero() {
		b.PublicKey = d.PublicKey.String()
	}
	if !d.PushSig.IsZero() {
		b.PushSig = d.PushSig.String()
	}
	if !d.Untagged.IsZero() {
		b.Untagged = d.Untagged.String()
	}
	for _, t := range d.Tombstones {
		body, err := encodeTombstone(t)
		if err != nil {
			return nil, err
		}
		b.Tombstones = append(b.Tombstones, body)
	}
	return json.Marshal(b)
}

// UnmarshalJSON reads a descriptor. Members it does not know are ignored, missing tombstones are none, and
// tombstones that do not decode are left out. A malformed root, key or signature, a negative size or an
// all-zero root is an error.
func (d *Descriptor) UnmarshalJSON(text []byte) error {
	var b descriptorBody
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("descriptor: %w", err)
	}
	var (
		out  Descriptor
		errs [4]error
	)
	out.Root, errs[0] = merkle.ParseHash(b.CurrentRoot)
	out.PublicKey, errs[1] = optional(b.PublicKey, auth.ParsePublicKey)
	out.PushSig, errs[2] = optional(b.PushSig, auth.ParseSignature)
	out.Untagged, errs[3] = optional(b.Untagged, auth.ParseSignature)
	for i, member := range [...]string{"current_root", "public_key", "push_sig", "push_sig_untagged"} {
		if errs[i] != nil {
			return fmt.Errorf("descriptor: %s: %w", member, errs[i])
		}
	}
	if out.Root.IsZero() {
		return errors.New("descriptor: current_root is all zeros")
	}
	if out.Size = b.Size; out.Size < 0 {
		return fmt.Errorf("descriptor: size %d is negative", b.Size)
	}
	for _, body := range b.Tombstones {
		if t, err := body.decode(); err == nil {
			out.Tombstones = append(out.Tombstones, t)
		}
	}
	*d = out
	return nil
}

// SignedRoot returns the head with those of the descriptor's signatures that verify under key, in the forms
// in which they do: push_sig may carry either (remote-protocol §11 row 1). The error matches
// [auth.ErrUnsigned] when the origin serves none, else [auth.ErrSignature] or [auth.ErrPublicKey].
func (d *Descriptor) SignedRoot(s auth.StoreID, key auth.PublicKey) (auth.SignedRoot, error) {
	return auth.AcceptRoot(s, d.Root, key, d.PushSig, d.Untagged)
}

// optional reads a member that may be empty, which is the zero value.
func optional[T any](s string, parse func(string) (T, error)) (T, error) {
	if s == "" {
		var zero T
		return zero, nil
	}
	return parse(s)
}

func encodeTombstone(t auth.Tombstone) (tombstoneBody, error) {
	record, err := t.MarshalBinary()
	if err != nil {
		return tombstoneBody{}, fmt.Errorf("remote: encode tombstone: %w", err)
	}
	return tombstoneBody{hex.EncodeToString(record), t.Sig.String()}, nil
}

// decode reads record and signature; it does not check the signature.
func (b tombstoneBody) decode() (auth.Tombstone, error) {
	record, err := hex.DecodeString(b.Record)
	if err != nil {
		return auth.Tombstone{}, fmt.Errorf("record: %w", err)
	}
	sig, err := auth.ParseSignature(b.Signature)
	if err != nil {
		return auth.Tombstone{}, err
	}
	return auth.ParseTombstone(record, sig)
}

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
			if err := dec.Decode(new(json.RawMessage)); err != nil {
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
			if err := dec.Decode(&b); err != nil {
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
	if err := delim(dec, '}'); err != nil {
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
