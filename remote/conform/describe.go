package conform

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

const knownTimes = "the reference makes timestamps up, 1000 + generation (§12)"

// isHex reports whether text is n lower-case hex digits.
func isHex(text string, n int) bool {
	if len(text) != n {
		return false
	}
	b, err := hex.DecodeString(text)
	return err == nil && hex.EncodeToString(b) == text
}

// describeChecks are the checks of the descriptor and the history.
func describeChecks() []check {
	return []check{
		{"descriptor/shape", "§5.1", Must, descriptorShape},
		{"descriptor/lower-case", "§1.1", Should, descriptorLowerCase},
		{"descriptor/signed", "§5.1", Should, descriptorSigned},
		{"descriptor/signature", "§9.5", Must, descriptorSignature},
		{"descriptor/key", "§9.4", Should, descriptorKey},
		{"descriptor/size", "§5.1", Must, descriptorSize},
		{"descriptor/tombstones", "§7", Should, descriptorTombstones},
		{"descriptor/head", "§3.2", Must, descriptorHead},
		{"descriptor/unknown-store", "§4.2", Must, descriptorUnknownStore},
		{"roots/shape", "§5.2", Must, rootsShape},
		{"roots/order", "§5.2", Must, rootsOrder},
		{"roots/ends-with-head", "§9.5", Must, rootsEndsWithHead},
		{"roots/times", "§5.2", Should, rootsTimes},
		{"roots/head", "§3.2", Must, rootsHead},
		{"roots/unknown-store", "§4.2", Must, rootsUnknownStore},
	}
}

func descriptorShape(ctx context.Context, s *session) error {
	a, err := s.expect(ctx, probe{}, http.StatusOK)
	if err != nil {
		return err
	}
	var d struct {
		Root *string      `json:"current_root"`
		Size *json.Number `json:"size"`
		Key  *string      `json:"public_key"`
	}
	if err := a.decode(&d); err != nil {
		return err
	}
	whole := regexp.MustCompile(`^[0-9]+$`)
	switch {
	case d.Root == nil || len(*d.Root) != 64:
		return found("current_root of 64 hex digits", "%.100q", a.body)
	case *d.Root == (auth.StoreID{}).String():
		return found("404 unknown root where there is no generation", "a root of zeros")
	case d.Size == nil || !whole.MatchString(d.Size.String()):
		return found("size, a whole number of bytes", "%.100q", a.body)
	case d.Key == nil || len(*d.Key) != 96:
		return found("public_key of 96 hex digits", "%.200q", a.body)
	}
	return nil
}

func descriptorLowerCase(ctx context.Context, s *session) error {
	d, err := s.descriptor(ctx)
	if err != nil {
		return err
	}
	var texts map[string]any
	json.Unmarshal(d.answer.body, &texts)
	for _, name := range []string{"current_root", "public_key", "push_sig", "push_sig_untagged"} {
		if text, ok := texts[name].(string); ok && !isHex(text, len(text)) {
			return found(name+" in lower-case hex", "%q", text)
		}
	}
	return nil
}

func descriptorSigned(ctx context.Context, s *session) error {
	d, err := s.descriptor(ctx)
	if err != nil {
		return err
	}
	if d.sigs[0].IsZero() {
		return as("the reference serves none for a head that was not pushed (§12)",
			found("push_sig, without which clients refuse the head", "none"))
	}
	return nil
}

func descriptorSignature(ctx context.Context, s *session) error {
	d, err := s.descriptor(ctx)
	if err != nil {
		return err
	}
	if d.sigs[0].IsZero() && d.sigs[1].IsZero() {
		return skip("there is none")
	}
	m, err := s.opened(ctx)
	if err != nil {
		return err
	}
	if err := d.signed(s.store, m.PublicKey()); err != nil {
		return found("a signature of the head by the key in its module", "%v", err)
	}
	return nil
}

func descriptorKey(ctx context.Context, s *session) error {
	d, err := s.descriptor(ctx)
	if err != nil {
		return err
	}
	m, err := s.opened(ctx)
	if err != nil {
		return err
	}
	if d.key != m.PublicKey() {
		return found("public_key "+m.PublicKey().String()+", as in the module", "%s", d.key)
	}
	return nil
}

func descriptorSize(ctx context.Context, s *session) error {
	d, err := s.descriptor(ctx)
	if err != nil {
		return err
	}
	h, err := s.module(ctx)
	if err != nil {
		return err
	}
	if d.size != h.size {
		return found("the size of the head's module", "%d, and the module has %d bytes", d.size, h.size)
	}
	return nil
}

func descriptorTombstones(ctx context.Context, s *session) error {
	d, err := s.descriptor(ctx)
	if err != nil {
		return err
	}
	m, err := s.opened(ctx)
	if err != nil {
		return err
	}
	for i, text := range d.tombs {
		if _, err := readTombstone(text, s.store, m.PublicKey()); err != nil {
			return found("tombstones that count", "number %d: %v", i, err)
		}
	}
	return nil
}

func descriptorHead(ctx context.Context, s *session) error {
	d, err := s.descriptor(ctx)
	if err != nil {
		return err
	}
	a, err := s.send(ctx, probe{method: http.MethodHead})
	if err != nil {
		return err
	}
	return sameHeaders(d.answer, a, "Content-Type")
}

func descriptorUnknownStore(ctx context.Context, s *session) error {
	return s.refused(ctx, probe{store: nowhere()}, http.StatusNotFound)
}

func rootsShape(ctx context.Context, s *session) error {
	a, err := s.expect(ctx, probe{tail: "/roots", most: 64 << 20}, http.StatusOK)
	if err != nil {
		return err
	}
	var b struct {
		Roots *[]struct {
			Generation *uint64 `json:"generation"`
			Root       *string `json:"root"`
			Timestamp  *int64  `json:"timestamp"`
		} `json:"roots"`
	}
	if err := a.decode(&b); err != nil {
		return err
	}
	if b.Roots == nil {
		return found("a member roots", "%.80q", a.body)
	}
	for i, l := range *b.Roots {
		if l.Generation == nil || l.Root == nil || l.Timestamp == nil || !isHex(*l.Root, 64) {
			return found("lines of generation, root (64 hex) and timestamp", "line %d is not one", i)
		}
	}
	return nil
}

func rootsOrder(ctx context.Context, s *session) error {
	lines, err := s.lines(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, l := range lines {
		if n, err := l.Generation.Int64(); err != nil || n != int64(i) {
			return found("generations from 0 by 1, oldest first", "%s in place %d", l.Generation, i)
		}
		if seen[l.Root] {
			return as("the reference writes a second line for a head that is pushed again (§6.12)",
				found("each root once", "generation %d is one of before", i))
		}
		seen[l.Root] = true
	}
	return nil
}

func rootsEndsWithHead(ctx context.Context, s *session) error {
	lines, err := s.lines(ctx)
	if err != nil {
		return err
	}
	head, err := s.head(ctx)
	if err != nil {
		return err
	}
	if len(lines) == 0 || lines[len(lines)-1].Root != head.String() {
		return found("the head at the end: "+head.String(), "%d lines that end otherwise", len(lines))
	}
	return nil
}

func rootsTimes(ctx context.Context, s *session) error {
	lines, err := s.lines(ctx)
	if err != nil {
		return err
	}
	last := int64(0)
	for _, l := range lines {
		at, err := l.Timestamp.Int64()
		switch n, _ := l.Generation.Int64(); {
		case err != nil || at < last || at > s.opt.Now().Add(time.Hour).Unix():
			return found("unix times that do not go back", "%s at generation %d", l.Timestamp, n)
		case at < 1_600_000_000:
			return as(knownTimes, found("unix times", "%d at generation %d", at, n))
		}
		last = at
	}
	return nil
}

func rootsHead(ctx context.Context, s *session) error {
	get, err := s.expect(ctx, probe{tail: "/roots", peek: true}, http.StatusOK)
	if err != nil {
		return skip("GET /roots is not answered: %v", err)
	}
	a, err := s.send(ctx, probe{method: http.MethodHead, tail: "/roots"})
	if err != nil {
		return err
	}
	return sameHeaders(get, a, "Content-Type")
}

func rootsUnknownStore(ctx context.Context, s *session) error {
	return s.refused(ctx, probe{tail: "/roots", store: nowhere()}, http.StatusNotFound)
}

// readTombstone parses an entry of a descriptor and verifies it under a key.
func readTombstone(text json.RawMessage, store auth.StoreID,
	key auth.PublicKey) (t auth.Tombstone, err error) {
	var b struct {
		Record    string `json:"record"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return t, err
	}
	record, err := hex.DecodeString(b.Record)
	if err != nil {
		return t, err
	}
	sig, err := auth.ParseSignature(b.Signature)
	if err != nil {
		return t, err
	}
	if t, err = auth.ParseTombstone(record, sig); err != nil {
		return t, err
	}
	if t.Store != store {
		return t, found("one of this store", "one of store %s", t.Store)
	}
	return t, t.Check(key)
}

// count returns how often a root occurs in a history.
func count(lines []line, root merkle.Hash) int {
	n := 0
	for _, l := range lines {
		if l.Root == root.String() {
			n++
		}
	}
	return n
}
