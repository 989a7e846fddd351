package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

const (
	knownHeadOnly = "the reference ignores root= and answers the head (§12)"
	knownTags     = "the reference matches one strong tag only (§12)"
	knownRanges   = "the reference knows no ranges (§4.5)"
)

// tag returns a root as an entity tag.
func tag(root merkle.Hash) string { return `"` + root.String() + `"` }

// moduleProbe requests a module without reading it.
func moduleProbe(root merkle.Hash) probe {
	return probe{tail: "/module", query: "root=" + root.String(), peek: true}
}

// moduleChecks are the checks of GET and HEAD /module without ranges.
func moduleChecks() []check {
	return []check{
		{"module/get", "§5.3", Must, moduleGet},
		{"module/too-large", "§10.6", Must, moduleTooLarge},
		{"module/content-type", "§5.3", Must, moduleContentType},
		{"module/etag", "§4.5", Must, moduleEtag},
		{"module/verifies", "§9.5", Must, moduleVerifies},
		{"module/root-selects", "§5.3", Must, moduleRootSelects},
		{"module/without-root", "§5.3", Must, moduleWithoutRoot},
		{"module/upper-case-root", "§1.1", Must, moduleUpperCaseRoot},
		{"module/bad-root", "§5.3", Must, moduleBadRoot},
		{"module/unknown-root", "§5.3", Must, moduleUnknownRoot},
		{"module/unknown-store", "§4.2", Must, moduleUnknownStore},
		{"module/not-modified", "§4.5", Must, moduleNotModified},
		{"module/not-modified-list", "§4.5", Extension, moduleNotModifiedList},
		{"module/modified", "§4.5", Must, moduleModified},
		{"module/head", "§5.4", Must, moduleHead},
		{"module/head-unknown-root", "§5.4", Must, moduleHeadUnknownRoot},
		{"module/head-not-modified", "§4.5", Extension, moduleHeadNotModified},
	}
}

func moduleGet(ctx context.Context, s *session) error {
	h, err := s.module(ctx)
	if err != nil {
		var no *skipped
		if _, derr := s.head(ctx); derr == nil && errors.As(err, &no) && h.answer != nil {
			return found("status 200 with the module", "%s", h.answer)
		}
		return err
	}
	if h.answer == nil {
		return skip("the module is too large for GET here (module/too-large)")
	}
	if err := h.answer.whole(); err != nil {
		return err
	}
	if h.answer.length < 0 {
		return found("a Content-Length", "none")
	}
	return nil
}

func moduleTooLarge(ctx context.Context, s *session) error {
	h, err := s.module(ctx)
	if err != nil && h.large == nil {
		return err
	}
	if h.large == nil {
		return skip("the module comes by GET")
	}
	var b struct {
		Error string `json:"error"`
		Total int64  `json:"total_length"`
	}
	if json.Unmarshal(h.large.body, &b) != nil || b.Error != "capsule_too_large_for_get" {
		return found(`413 with {"error":"capsule_too_large_for_get","total_length":N,…}`, "%s", h.large)
	}
	if err != nil || b.Total != h.size {
		return found("a module of "+strconv.FormatInt(b.Total, 10)+" bytes by dig.getCapsule",
			"%d bytes, %v", h.size, err)
	}
	return nil
}

func moduleContentType(ctx context.Context, s *session) error {
	h, err := s.viaGet(ctx)
	if err != nil {
		return err
	}
	if kind := h.answer.header.Get("Content-Type"); kind != "application/wasm" {
		return found("application/wasm", "%q", kind)
	}
	return nil
}

func moduleEtag(ctx context.Context, s *session) error {
	h, err := s.viaGet(ctx)
	if err != nil {
		return err
	}
	head, _ := s.head(ctx)
	if got := h.answer.header.Get("ETag"); got != tag(head) {
		return found("ETag "+tag(head), "%q", got)
	}
	return nil
}

func moduleVerifies(ctx context.Context, s *session) error {
	h, err := s.module(ctx)
	if err != nil {
		return err
	}
	head, _ := s.head(ctx)
	if h.mod == nil {
		return found("a module", "%v", h.bad)
	}
	if h.mod.ID() != (module.ID{Store: s.store, Root: head}) {
		return found("the module "+module.ID{Store: s.store, Root: head}.String(), "%s", h.mod.ID())
	}
	if err := h.mod.Verify(ctx); err != nil {
		return found("leaves and chunks that make the root", "%v", err)
	}
	return nil
}

func moduleRootSelects(ctx context.Context, s *session) error {
	old, err := s.older(ctx)
	if err != nil {
		return err
	}
	a, err := s.send(ctx, moduleProbe(old))
	if err != nil {
		return err
	}
	if a.status == http.StatusNotFound {
		return skip("the origin does not hold the generation before the head")
	}
	if a.status == http.StatusRequestEntityTooLarge {
		return skip("the generation is too large for GET here")
	}
	if err := a.is(http.StatusOK); err != nil {
		return err
	}
	if got := a.header.Get("ETag"); got != tag(old) {
		return as(knownHeadOnly, found("the generation that root= names, ETag "+tag(old), "%q", got))
	}
	return nil
}

func moduleWithoutRoot(ctx context.Context, s *session) error {
	head, err := s.small(ctx)
	if err != nil {
		return err
	}
	a, err := s.expect(ctx, probe{tail: "/module", peek: true}, http.StatusOK)
	if err != nil {
		return as("the public gateway demands root= (§5.3)", err)
	}
	if got := a.header.Get("ETag"); got != tag(head) {
		return found("the head", "ETag %q", got)
	}
	return nil
}

func moduleUpperCaseRoot(ctx context.Context, s *session) error {
	head, err := s.small(ctx)
	if err != nil {
		return err
	}
	p := moduleProbe(head)
	p.query = "root=" + strings.ToUpper(head.String())
	return s.refused(ctx, p, http.StatusOK)
}

func moduleBadRoot(ctx context.Context, s *session) error {
	if _, err := s.head(ctx); err != nil {
		return err
	}
	for _, root := range []string{"x", strings.Repeat("g", 64), strings.Repeat("0", 62)} {
		a, err := s.send(ctx, probe{tail: "/module", query: "root=" + root, peek: true})
		if err != nil {
			return err
		}
		if err := a.is(http.StatusBadRequest); err != nil {
			if a.status == http.StatusOK {
				err = as(knownHeadOnly, err)
			}
			return err
		}
	}
	return nil
}

func moduleUnknownRoot(ctx context.Context, s *session) error {
	if _, err := s.head(ctx); err != nil {
		return err
	}
	a, err := s.send(ctx, moduleProbe(random()))
	if err != nil {
		return err
	}
	if a.status == http.StatusOK {
		return as(knownHeadOnly, a.is(http.StatusNotFound))
	}
	return a.is(http.StatusNotFound)
}

func moduleUnknownStore(ctx context.Context, s *session) error {
	p := moduleProbe(random())
	p.store = nowhere()
	return s.refused(ctx, p, http.StatusNotFound)
}

func moduleNotModified(ctx context.Context, s *session) error {
	return s.unchanged(ctx, http.MethodGet, tag)
}

func moduleNotModifiedList(ctx context.Context, s *session) error {
	for _, form := range []func(merkle.Hash) string{
		func(r merkle.Hash) string { return `"x", ` + tag(r) },
		func(r merkle.Hash) string { return "W/" + tag(r) },
		func(merkle.Hash) string { return "*" },
	} {
		if err := s.unchanged(ctx, http.MethodGet, form); err != nil {
			return as(knownTags, err)
		}
	}
	return nil
}

func moduleModified(ctx context.Context, s *session) error {
	head, err := s.small(ctx)
	if err != nil {
		return err
	}
	for _, other := range []string{tag(random()), "nothing", `"` + head.String()[:62] + `"`} {
		p := moduleProbe(head).with("If-None-Match", other)
		if err := s.refused(ctx, p, http.StatusOK); err != nil {
			return err
		}
	}
	return nil
}

func moduleHead(ctx context.Context, s *session) error {
	h, err := s.viaGet(ctx)
	if err != nil {
		return err
	}
	head, _ := s.head(ctx)
	p := moduleProbe(head)
	p.method, p.peek = http.MethodHead, false
	a, err := s.send(ctx, p)
	if err != nil {
		return err
	}
	if a.length != h.answer.length {
		return found(fmt.Sprintf("Content-Length %d", h.answer.length), "%d", a.length)
	}
	return sameHeaders(h.answer, a, "ETag", "Content-Type")
}

func moduleHeadUnknownRoot(ctx context.Context, s *session) error {
	if _, err := s.head(ctx); err != nil {
		return err
	}
	p := moduleProbe(random())
	p.method = http.MethodHead
	a, err := s.send(ctx, p)
	if err != nil {
		return err
	}
	if a.status == http.StatusOK {
		return as(knownHeadOnly, a.is(http.StatusNotFound))
	}
	return a.is(http.StatusNotFound)
}

func moduleHeadNotModified(ctx context.Context, s *session) error {
	return as("the reference answers HEAD with 200 always (§5.4)",
		s.unchanged(ctx, http.MethodHead, tag))
}

// viaGet returns the head's module if it was read by GET.
func (s *session) viaGet(ctx context.Context) (headModule, error) {
	h, err := s.module(ctx)
	if err == nil && h.answer == nil {
		err = skip("the module is too large for GET here")
	}
	return h, err
}

// small returns the head's root if its module can be read by GET.
func (s *session) small(ctx context.Context) (merkle.Hash, error) {
	if _, err := s.viaGet(ctx); err != nil {
		return merkle.Hash{}, err
	}
	return s.head(ctx)
}

// unchanged requests the head with an If-None-Match that matches it.
func (s *session) unchanged(ctx context.Context, method string,
	form func(merkle.Hash) string) error {
	head, err := s.small(ctx)
	if err != nil {
		return err
	}
	p := moduleProbe(head).with("If-None-Match", form(head))
	p.method = method
	a, err := s.expect(ctx, p, http.StatusNotModified)
	if err != nil {
		return err
	}
	if a.size > 0 || a.header.Get("ETag") != tag(head) {
		return found("the ETag and no body", "%q and %d bytes", a.header.Get("ETag"), a.size)
	}
	return nil
}

// isPartial reports whether an answer has status 206.
func isPartial(a *answer) bool { return a.status == http.StatusPartialContent }

// rangeChecks are the checks of ranges, by which a download is resumed.
func rangeChecks() []check {
	return []check{
		{"range/part", "§4.5", Extension, rangePart},
		{"range/advertised", "§4.5", Extension, rangeAdvertised},
		{"range/if-range", "§4.5", Extension, rangeIfRange},
		{"range/not-satisfiable", "§4.5", Extension, rangeNotSatisfiable},
		{"range/unknown-unit", "§4.5", Must, rangeUnknownUnit},
		{"range/head", "§5.4", Must, rangeHead},
	}
}

func rangePart(ctx context.Context, s *session) error {
	head, h, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	n := h.size
	for _, part := range []struct {
		text     string
		from, to int64
	}{
		{"bytes=0-0", 0, 1}, {"bytes=4-11", 4, 12}, {fmt.Sprintf("bytes=%d-", n-9), n - 9, n},
		{"bytes=-5", n - 5, n}, {fmt.Sprintf("bytes=%d-%d", n-3, n+100), n - 3, n},
	} {
		p := moduleProbe(head).with("Range", part.text)
		p.peek, p.reads = false, isPartial // a server without ranges sends the whole module
		a, err := s.send(ctx, p)
		if err != nil {
			return err
		}
		if err := a.is(http.StatusPartialContent); err != nil {
			return as(knownRanges, err)
		}
		want := fmt.Sprintf("bytes %d-%d/%d", part.from, part.to-1, n)
		if got := a.header.Get("Content-Range"); got != want || a.header.Get("ETag") != tag(head) {
			return found("Content-Range "+want+" and the ETag", "%q, %q", got, a.header.Get("ETag"))
		}
		wanted := make([]byte, part.to-part.from)
		if _, err := h.file.ReadAt(wanted, part.from); err != nil {
			return err
		}
		if !bytes.Equal(a.body, wanted) {
			return found("the bytes of "+part.text, "%d others", len(a.body))
		}
	}
	return nil
}

func rangeAdvertised(ctx context.Context, s *session) error {
	h, err := s.viaGet(ctx)
	if err != nil {
		return err
	}
	if got := h.answer.header.Get("Accept-Ranges"); got != "bytes" {
		return as(knownRanges, found("Accept-Ranges: bytes", "%q", got))
	}
	return nil
}

func rangeIfRange(ctx context.Context, s *session) error {
	head, _, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	p := moduleProbe(head).with("Range", "bytes=4-11")
	if err := s.refused(ctx, p.with("If-Range", tag(head)), http.StatusPartialContent); err != nil {
		return as(knownRanges, err)
	}
	return s.refused(ctx, p.with("If-Range", tag(random())), http.StatusOK)
}

func rangeNotSatisfiable(ctx context.Context, s *session) error {
	head, h, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	return as(
		knownRanges,
		s.refused(ctx, moduleProbe(head).with("Range", fmt.Sprintf("bytes=%d-", h.size)),
			http.StatusRequestedRangeNotSatisfiable),
	)
}

func rangeUnknownUnit(ctx context.Context, s *session) error {
	head, err := s.small(ctx)
	if err != nil {
		return err
	}
	return s.refused(ctx, moduleProbe(head).with("Range", "lines=1-2"), http.StatusOK)
}

func rangeHead(ctx context.Context, s *session) error {
	head, err := s.small(ctx)
	if err != nil {
		return err
	}
	p := moduleProbe(head).with("Range", "bytes=0-0")
	p.method = http.MethodHead
	a, err := s.expect(ctx, p, http.StatusOK)
	if err != nil {
		return err
	}
	if h, _ := s.module(ctx); a.length != h.size {
		return found("the length of the whole", "%d", a.length)
	}
	return nil
}

// ranged returns the head and its module if it is long enough for ranges.
func (s *session) ranged(ctx context.Context) (merkle.Hash, headModule, error) {
	h, err := s.viaGet(ctx)
	if err != nil {
		return merkle.Hash{}, h, err
	}
	if h.size < 64 {
		return merkle.Hash{}, h, skip("the module has %d bytes only", h.size)
	}
	head, err := s.head(ctx)
	return head, h, err
}
