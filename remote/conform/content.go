package conform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/dig-network/digstore/merkle"
)

const knownDecoy = "the reference's decoys are a public formula and carry no proof (§8.4)"

// A reply is the answer of POST /content.
type reply struct {
	answer *answer
	sealed []byte
	proof  []byte
	root   string
}

// lookup returns the body of POST /content and /proof.
func lookup(key, root merkle.Hash) map[string]any {
	return map[string]any{"retrieval_key": key.String(), "root": root.String()}
}

// part returns a lookup with a range.
func part(key, root merkle.Hash, start, end uint64) map[string]any {
	v := lookup(key, root)
	v["range"] = map[string]uint64{"start": start, "end": end}
	return v
}

// content requests a resource.
func (s *session) content(ctx context.Context, v map[string]any) (reply, error) {
	var r reply
	a, err := s.expect(ctx, probe{tail: "/content"}.asJSON(v), http.StatusOK)
	if err != nil {
		return r, err
	}
	var b struct {
		Sealed *[]byte `json:"ciphertext_b64"`
		Proof  *[]byte `json:"merkle_proof_b64"`
		Root   *string `json:"roothash"`
	}
	if err := a.decode(&b); err != nil {
		return r, err
	}
	if b.Sealed == nil || b.Proof == nil || b.Root == nil {
		return r, found("ciphertext_b64, merkle_proof_b64 and roothash", "%.80q", a.body)
	}
	return reply{a, *b.Sealed, *b.Proof, *b.Root}, nil
}

// genuine checks the proof of a reply against a root.
func (r reply) genuine(root merkle.Hash) error {
	var p merkle.Proof
	if err := p.UnmarshalBinary(r.proof); err != nil {
		return found("a proof", "%v", err)
	}
	if err := p.Check(merkle.Sum(r.sealed), root); err != nil {
		return found("a proof of these bytes under the root", "%v", err)
	}
	return nil
}

// hit returns the key and sealed bytes of a resource of the head, and the root.
func (s *session) hit(ctx context.Context) (key, root merkle.Hash, sealed []byte, err error) {
	res, err := s.resource(ctx)
	if err != nil {
		return key, root, nil, err
	}
	if res.SealedSize() > 4<<20 {
		return key, root, nil, skip("the shortest resource has %d bytes", res.SealedSize())
	}
	sealed = make([]byte, res.SealedSize())
	if _, err := res.Sealed().ReadAt(sealed, 0); len(sealed) > 0 && err != nil &&
		!strings.Contains(err.Error(), "EOF") {
		return key, root, nil, skip("the shortest resource cannot be read: %v", err)
	}
	root, err = s.head(ctx)
	return res.Key(), root, sealed, err
}

// contentChecks are the checks of POST /content and /proof.
func contentChecks() []check {
	list := []check{
		{"content/hit", "§8.1", Must, contentHit},
		{"content/range", "§8.1", Must, contentRange},
		{"content/backward-range", "§8.1", Extension, contentBackwardRange},
		{"content/unknown-members", "§4.2", Must, contentUnknownMembers},
		{"content/older-root", "§8.1", Must, contentOlderRoot},
		{"content/miss", "§8.1", Must, contentMiss},
		{"content/miss-looks-like-hit", "§8.4", Must, contentMissLooksLikeHit},
		{"content/miss-has-proof", "§8.4", Extension, contentMissHasProof},
		{"content/miss-is-secret", "§8.4", Extension, contentMissIsSecret},
		{"content/miss-is-stable", "§8.4", Should, contentMissIsStable},
		{"content/miss-has-ranges", "§8.4", Should, contentMissHasRanges},
		{"content/unknown-root", "§8.1", Must, contentUnknownRoot},
		{"content/unknown-store", "§8.1", Must, contentUnknownStore},
		{"content/head-method", "§3.2", Must, contentHeadMethod},
		{"proof/answer", "§8.3", Must, proofAnswer},
		{"proof/miss", "§8.3", Must, proofMiss},
		{"proof/unknown-root", "§8.3", Must, proofUnknownRoot},
	}
	for _, tail := range []string{"/content", "/proof"} {
		list = append(list, badLookups(tail)...)
	}
	return list
}

func contentHit(ctx context.Context, s *session) error {
	key, root, sealed, err := s.hit(ctx)
	if err != nil {
		return err
	}
	r, err := s.content(ctx, lookup(key, root))
	if err != nil {
		return err
	}
	if !bytes.Equal(r.sealed, sealed) {
		return found("the resource's sealed bytes, as in the module", "%d others", len(r.sealed))
	}
	if r.root != root.String() {
		return found("roothash "+root.String(), "%q", r.root)
	}
	return r.genuine(root)
}

func contentRange(ctx context.Context, s *session) error {
	key, root, sealed, err := s.hit(ctx)
	if err != nil {
		return err
	}
	n := uint64(len(sealed))
	for _, cut := range [][2]uint64{{0, 1}, {1, n}, {n / 2, n + 100}, {n, n}, {n + 5, n + 9}} {
		r, err := s.content(ctx, part(key, root, cut[0], cut[1]))
		if err != nil {
			return err
		}
		if from, to := min(cut[0], n), min(cut[1], n); !bytes.Equal(r.sealed, sealed[from:to]) {
			return found("the bytes of the range, clamped to the length", "%d for %d to %d of %d",
				len(r.sealed), cut[0], cut[1], n)
		}
	}
	v := lookup(key, root)
	v["range"] = nil
	r, err := s.content(ctx, v)
	if err != nil {
		return err
	}
	if !bytes.Equal(r.sealed, sealed) {
		return found("all bytes without a range", "%d of %d", len(r.sealed), n)
	}
	return nil
}

func contentBackwardRange(ctx context.Context, s *session) error {
	key, root, _, err := s.hit(ctx)
	if err != nil {
		return err
	}
	return as("the reference answers the whole resource (§8.1)",
		s.refused(ctx, probe{tail: "/content"}.asJSON(part(key, root, 1, 0)), http.StatusBadRequest))
}

func contentUnknownMembers(ctx context.Context, s *session) error {
	key, root, _, err := s.hit(ctx)
	if err != nil {
		return err
	}
	v := lookup(key, root)
	v["conform"] = map[string]any{"x": []int{1}}
	return s.refused(ctx, probe{tail: "/content"}.asJSON(v), http.StatusOK)
}

func contentOlderRoot(ctx context.Context, s *session) error {
	key, _, _, err := s.hit(ctx)
	if err != nil {
		return err
	}
	old, err := s.older(ctx)
	if err != nil {
		return err
	}
	a, err := s.send(ctx, probe{tail: "/content"}.asJSON(lookup(key, old)))
	if err != nil {
		return err
	}
	if a.status == http.StatusNotFound {
		return skip("the origin does not hold the generation before the head")
	}
	return a.is(http.StatusOK)
}

func contentMiss(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	r, err := s.content(ctx, lookup(random(), root))
	if err != nil {
		return err
	}
	if r.genuine(root) == nil {
		return found("bytes that no proof holds for", "a proof that holds")
	}
	return nil
}

func contentMissLooksLikeHit(ctx context.Context, s *session) error {
	key, root, _, err := s.hit(ctx)
	if err != nil {
		return err
	}
	hit, err := s.content(ctx, lookup(key, root))
	if err != nil {
		return skip("a hit is not answered: %v", err)
	}
	miss, err := s.content(ctx, lookup(random(), root))
	if err != nil {
		return skip("a miss is not answered: %v", err)
	}
	if h, m := names(hit.answer.header), names(miss.answer.header); !slices.Equal(h, m) {
		return found("the same headers, "+strings.Join(h, " "), "%s", strings.Join(m, " "))
	}
	h, _ := members(hit.answer.body)
	m, _ := members(miss.answer.body)
	if !slices.Equal(h, m) {
		return found("the same members in the same order, "+strings.Join(h, " "), "%s",
			strings.Join(m, " "))
	}
	return nil
}

func contentMissHasProof(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	r, err := s.content(ctx, lookup(random(), root))
	if err != nil {
		return skip("a miss is not answered: %v", err)
	}
	var p merkle.Proof
	if err := p.UnmarshalBinary(r.proof); err != nil || p.Leaf != merkle.Sum(r.sealed) ||
		p.Root != root {
		return as(
			knownDecoy,
			found("a proof in form, with these bytes as the leaf and the root at its end", "%d bytes, %v",
				len(r.proof), err),
		)
	}
	return nil
}

func contentMissIsSecret(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	key := random()
	r, err := s.content(ctx, lookup(key, root))
	if err != nil {
		return skip("a miss is not answered: %v", err)
	}
	if bytes.Equal(r.sealed, publicDecoy(key)) {
		return as(knownDecoy, found("bytes that nobody else can compute", "the reference's formula"))
	}
	return nil
}

func contentMissIsStable(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	key := random()
	first, err := s.content(ctx, lookup(key, root))
	if err != nil {
		return skip("a miss is not answered: %v", err)
	}
	again, err := s.content(ctx, lookup(key, root))
	if err != nil {
		return skip("a miss is not answered: %v", err)
	}
	if !bytes.Equal(first.sealed, again.sealed) || !bytes.Equal(first.proof, again.proof) {
		return found("the same bytes for the same key", "others")
	}
	return nil
}

func contentMissHasRanges(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	key := random()
	whole, err := s.content(ctx, lookup(key, root))
	if err != nil {
		return skip("a miss is not answered: %v", err)
	}
	n := uint64(len(whole.sealed))
	cut, err := s.content(ctx, part(key, root, 1, n+9))
	if err != nil {
		return err
	}
	if n > 0 && !bytes.Equal(cut.sealed, whole.sealed[1:]) {
		return found("a range of the miss's bytes", "%d others", len(cut.sealed))
	}
	return nil
}

func contentUnknownRoot(ctx context.Context, s *session) error {
	return s.refused(ctx, probe{tail: "/content"}.asJSON(lookup(random(), random())),
		http.StatusNotFound)
}

func contentUnknownStore(ctx context.Context, s *session) error {
	return s.refused(ctx, probe{tail: "/content", store: nowhere()}.asJSON(lookup(random(), random())),
		http.StatusNotFound)
}

func contentHeadMethod(ctx context.Context, s *session) error {
	return s.refused(ctx, probe{method: http.MethodGet, tail: "/content"}, http.StatusNotFound,
		http.StatusMethodNotAllowed)
}

func proofAnswer(ctx context.Context, s *session) error {
	key, root, _, err := s.hit(ctx)
	if err != nil {
		return err
	}
	return s.proof(ctx, key, root)
}

func proofMiss(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	return s.proof(ctx, random(), root)
}

func proofUnknownRoot(ctx context.Context, s *session) error {
	return s.refused(ctx, probe{tail: "/proof"}.asJSON(lookup(random(), random())),
		http.StatusNotFound)
}

// badLookups are checks of malformed requests to POST /content or /proof.
func badLookups(tail string) []check {
	group := tail[1:]
	ask := func(name string, level Level, status int, bad func(root merkle.Hash) probe) check {
		return check{group + "/" + name, "§4.2, §8.1", level,
			func(ctx context.Context, s *session) error {
				root, err := s.head(ctx)
				if err != nil {
					return err
				}
				return s.refused(ctx, bad(root), status)
			}}
	}
	good := probe{tail: tail}
	return []check{
		ask("bad-key", Must, http.StatusBadRequest, func(root merkle.Hash) probe {
			return good.asJSON(map[string]string{"retrieval_key": "x", "root": root.String()})
		}),
		ask("bad-root", Must, http.StatusBadRequest, func(merkle.Hash) probe {
			return good.asJSON(map[string]string{"retrieval_key": random().String(), "root": "x"})
		}),
		ask("not-json", Should, http.StatusBadRequest, func(merkle.Hash) probe { return good.asText("{") }),
		ask("wrong-shape", Should, http.StatusUnprocessableEntity, func(merkle.Hash) probe { return good.asText(`{"retrieval_key":7}`) }),
		ask("content-type", Should, http.StatusUnsupportedMediaType, func(root merkle.Hash) probe {
			return good.asJSON(lookup(random(), root)).with("Content-Type", "text/plain")
		}),
	}
}

// proof requests an execution proof, which may be empty.
func (s *session) proof(ctx context.Context, key, root merkle.Hash) error {
	a, err := s.expect(ctx, probe{tail: "/proof"}.asJSON(lookup(key, root)), http.StatusOK)
	if err != nil {
		return err
	}
	var b struct {
		Proof *[]byte `json:"proof_b64"`
		Root  *string `json:"roothash"`
	}
	if err := a.decode(&b); err != nil {
		return err
	}
	if b.Proof == nil || b.Root == nil || *b.Root != root.String() {
		return found("proof_b64, and roothash "+root.String(), "%.200q", a.body)
	}
	return nil
}

// names returns the sorted names of headers.
func names(h http.Header) []string { return slices.Sorted(maps.Keys(h)) }

// publicDecoy returns the reference's answer for a missing key (remote/PROTOCOL.md 8.4).
func publicDecoy(key merkle.Hash) []byte {
	n := 256 << (key[0] % 8)
	var out []byte
	for i := uint32(0); len(out) < n; i++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32(key[:], i))
		out = append(out, sum[:]...)
	}
	return out[:n]
}
