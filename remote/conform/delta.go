package conform

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// delta asks for one and holds its chunks against their hashes.
func (s *session) delta(ctx context.Context, p probe, from,
	to merkle.Hash) (chunks map[merkle.Hash]bool, err error) {
	p.most = 256 << 20
	a, err := s.send(ctx, p)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusRequestEntityTooLarge {
		return nil, skip("the delta is too large here; clients take the whole module then")
	}
	if err := a.is(http.StatusOK); err != nil {
		return nil, err
	}
	var b struct {
		From   string `json:"from"`
		To     string `json:"to"`
		Chunks *[]struct {
			Hash merkle.Hash `json:"hash"`
			Data []byte      `json:"data_b64"`
		} `json:"chunks"`
		Rows *[]struct {
			Entry []byte `json:"entry_b64"`
		} `json:"key_table_changes"`
	}
	if err := a.decode(&b); err != nil {
		return nil, err
	}
	if b.Chunks == nil || b.Rows == nil || b.From != from.String() || b.To != to.String() {
		return nil, found("from, to, chunks and key_table_changes, from "+from.String()+" to "+
			to.String(), "%.200q", a.body)
	}
	chunks = map[merkle.Hash]bool{}
	for _, c := range *b.Chunks {
		if merkle.Sum(c.Data) != c.Hash {
			return nil, found("chunks that hash to their names", "one that does not: %s", c.Hash)
		}
		chunks[c.Hash] = true
	}
	for _, r := range *b.Rows {
		if err := new(module.KeyTableRow).UnmarshalBinary(r.Entry); err != nil {
			return nil, found("rows of a key table", "%v", err)
		}
	}
	return chunks, nil
}

// deltaChecks look at GET and POST /delta.
func deltaChecks() []check {
	both := func(from, to merkle.Hash) probe {
		return probe{tail: "/delta", query: "from=" + from.String() + "&to=" + to.String()}
	}
	return []check{
		{"delta/same", "§8.5", Must, func(ctx context.Context, s *session) error {
			head, err := s.head(ctx)
			if err != nil {
				return err
			}
			chunks, err := s.delta(ctx, both(head, head), head, head)
			if err == nil && len(chunks) > 0 {
				return found("no chunk from a generation to itself", "%d", len(chunks))
			}
			return err
		}},
		{"delta/between", "§8.5", Must, func(ctx context.Context, s *session) error {
			head, err := s.head(ctx)
			if err != nil {
				return err
			}
			old, err := s.older(ctx)
			if err != nil {
				return err
			}
			chunks, err := s.delta(ctx, both(old, head), old, head)
			if err != nil {
				return err
			}
			all, err := s.pool(ctx)
			if err != nil {
				return err
			}
			for id := range chunks {
				if !all[id] {
					return found("chunks of the newer generation", "another: %s", id)
				}
			}
			return nil
		}},
		{"delta/have", "§8.5", Must, func(ctx context.Context, s *session) error {
			head, err := s.head(ctx)
			if err != nil {
				return err
			}
			all, err := s.pool(ctx)
			if err != nil {
				return err
			}
			have, missing := []string{}, merkle.Hash{}
			for id := range all {
				if missing.IsZero() {
					missing = id
					continue
				}
				have = append(have, id.String())
			}
			chunks, err := s.delta(ctx, probe{tail: "/delta"}.asJSON(map[string]any{"to": head.String(), "have": have}), merkle.Hash{}, head)
			if err != nil {
				return err
			}
			if len(chunks) != 1 || !chunks[missing] {
				return found("the one chunk that is not in have", "%d", len(chunks))
			}
			return nil
		}},
		{"delta/unknown-root", "§8.5", Must, func(ctx context.Context, s *session) error {
			head, err := s.head(ctx)
			if err != nil {
				return err
			}
			for _, p := range []probe{both(head, random()), both(random(), head), probe{tail: "/delta"}.asJSON(map[string]any{"to": random().String(), "have": []string{}})} {
				if err := s.refused(ctx, p, http.StatusNotFound); err != nil {
					return err
				}
			}
			return nil
		}},
		{"delta/missing-argument", "§8.5", Must, func(ctx context.Context, s *session) error {
			for _, query := range []string{"", "from=" + random().String(), "to=" + random().String()} {
				if err := s.refused(ctx, probe{tail: "/delta", query: query}, http.StatusBadRequest); err != nil {
					return err
				}
			}
			return nil
		}},
		{"delta/bad-argument", "§8.5", Must, func(ctx context.Context, s *session) error {
			return s.refused(ctx, probe{tail: "/delta", query: "from=x&to=y"}, http.StatusBadRequest)
		}},
	}
}

// pool is the chunks of the head, which are hashed for it.
func (s *session) pool(ctx context.Context) (map[merkle.Hash]bool, error) {
	m, err := s.opened(ctx)
	if err != nil {
		return nil, err
	}
	const most = 50_000 // a server takes 100,000 in have
	all := map[merkle.Hash]bool{}
	for r, err := range m.Resources() {
		if err != nil {
			return nil, skip("the key table cannot be read: %v", err)
		}
		sealed := r.Sealed()
		for _, c := range r.Chunks() {
			sum := sha256.New()
			if _, err := io.CopyN(sum, sealed, int64(c.Len)); err != nil {
				return nil, skip("the chunks cannot be read: %v", err)
			}
			all[merkle.Hash(sum.Sum(nil))] = true
		}
		if len(all) > most {
			return nil, skip("the head has over %d chunks", most)
		}
	}
	if len(all) == 0 {
		return nil, skip("the head has no chunk")
	}
	return all, nil
}

// tombstoneChecks send tombstones that cannot count: malformed, for another store, or signed by
// nobody who may.
func tombstoneChecks() []check {
	post := func(name string, level Level, status int,
		body func(s *session, by auth.Signer) any) check {
		return check{"tombstone/" + name, "§7.2", level, func(ctx context.Context, s *session) error {
			if _, err := s.head(ctx); err != nil {
				return err
			}
			a, err := s.send(ctx, probe{tail: "/tombstone"}.asJSON(body(s, freshKey())))
			if err != nil {
				return err
			}
			if a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed {
				return skip("the origin takes no tombstones")
			}
			return a.is(status)
		}}
	}
	// none is a tombstone of an id that is no root of anything, by a key that is not the store's.
	none := func(store auth.StoreID, by auth.Signer) map[string]string {
		t, err := auth.SignTombstone(context.Background(),
			auth.Tombstone{Store: store, Root: random(), NotAfter: 1}, by)
		if err != nil {
			panic("conform: " + err.Error()) // a key in memory signs
		}
		return tombstoneBody(t)
	}
	return []check{
		post("bad-hex", Must, http.StatusUnprocessableEntity, func(s *session, by auth.Signer) any {
			return map[string]string{"record": "x", "signature": none(s.store, by)["signature"]}
		}),
		post("malformed", Must, http.StatusUnprocessableEntity, func(s *session, by auth.Signer) any {
			b := none(s.store, by)
			b["record"] = b["record"][:80]
			return b
		}),
		post("trailing-bytes", Extension, http.StatusUnprocessableEntity, func(s *session, by auth.Signer) any {
			b := none(s.store, by)
			b["record"] += "00"
			return b
		}),
		post("bad-signature-hex", Must, http.StatusUnprocessableEntity, func(s *session, by auth.Signer) any {
			b := none(s.store, by)
			b["signature"] = b["signature"][2:]
			return b
		}),
		post("another-store", Must, http.StatusUnprocessableEntity, func(s *session, by auth.Signer) any { return none(nowhere(), by) }),
		post("another-key", Must, http.StatusForbidden, func(s *session, by auth.Signer) any { return none(s.store, by) }),
	}
}
