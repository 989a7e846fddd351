package conform

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// delta requests a delta and checks the hashes of its chunks.
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

// deltaChecks are the checks of GET and POST /delta.
func deltaChecks() []check {
	return []check{
		{"delta/same", "§8.5", Must, deltaSame},
		{"delta/between", "§8.5", Must, deltaBetween},
		{"delta/have", "§8.5", Must, deltaHave},
		{"delta/unknown-root", "§8.5", Must, deltaUnknownRoot},
		{"delta/missing-argument", "§8.5", Must, deltaMissingArgument},
		{"delta/bad-argument", "§8.5", Must, deltaBadArgument},
	}
}

// getDelta is GET /delta.
func getDelta(from, to merkle.Hash) probe {
	return probe{tail: "/delta", query: "from=" + from.String() + "&to=" + to.String()}
}

// postDelta is POST /delta.
func postDelta(to merkle.Hash, have []string) probe {
	return probe{tail: "/delta"}.asJSON(map[string]any{"to": to.String(), "have": have})
}

func deltaSame(ctx context.Context, s *session) error {
	head, err := s.head(ctx)
	if err != nil {
		return err
	}
	chunks, err := s.delta(ctx, getDelta(head, head), head, head)
	if err == nil && len(chunks) > 0 {
		return found("no chunk from a generation to itself", "%d", len(chunks))
	}
	return err
}

func deltaBetween(ctx context.Context, s *session) error {
	head, err := s.head(ctx)
	if err != nil {
		return err
	}
	old, err := s.older(ctx)
	if err != nil {
		return err
	}
	chunks, err := s.delta(ctx, getDelta(old, head), old, head)
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
}

func deltaUnknownRoot(ctx context.Context, s *session) error {
	head, err := s.head(ctx)
	if err != nil {
		return err
	}
	for _, p := range []probe{
		getDelta(head, random()),
		getDelta(random(), head),
		postDelta(random(), []string{}),
	} {
		if err := s.refused(ctx, p, http.StatusNotFound); err != nil {
			return err
		}
	}
	return nil
}

func deltaHave(ctx context.Context, s *session) error {
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
	chunks, err := s.delta(ctx, postDelta(head, have), merkle.Hash{}, head)
	if err != nil {
		return err
	}
	if len(chunks) != 1 || !chunks[missing] {
		return found("the one chunk that is not in have", "%d", len(chunks))
	}
	return nil
}

func deltaMissingArgument(ctx context.Context, s *session) error {
	for _, query := range []string{"", "from=" + random().String(), "to=" + random().String()} {
		if err := s.refused(ctx, probe{tail: "/delta", query: query}, http.StatusBadRequest); err != nil {
			return err
		}
	}
	return nil
}

func deltaBadArgument(ctx context.Context, s *session) error {
	return s.refused(ctx, probe{tail: "/delta", query: "from=x&to=y"}, http.StatusBadRequest)
}

// pool returns the hashes of the chunks of the head.
func (s *session) pool(ctx context.Context) (map[merkle.Hash]bool, error) {
	m, err := s.opened(ctx)
	if err != nil {
		return nil, err
	}
	const most = 50_000 // a server accepts 100,000 in have
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
