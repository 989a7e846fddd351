package digstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/digstore/internal/rootlog"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// An AdoptReport says what Adopt found.
type AdoptReport struct {
	Lines    int // of the history
	Verified int // generations that are held and were verified
	Signed   int // generations whose missing signature was made
}

// Adopt makes the history proven if another program, or an earlier version, has written it. It
// first verifies every generation that is held, including all chunks. The head must be held; other
// generations that are not held count as dropped. If the key is here, missing signatures are made.
// If a part of the history is proven already and has changed, the error is ErrCorrupt and nothing
// changes. progress is called as by Verify, once for each generation.
func (s *Store) Adopt(ctx context.Context, progress func(done, total int64)) (*AdoptReport, error) {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	defer l.Close()
	rep, err := s.adopt(ctx, progress)
	s.dir.Log.Forget()
	if err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	return rep, nil
}

func (s *Store) adopt(ctx context.Context, progress func(done, total int64)) (*AdoptReport, error) {
	list, err := s.dir.Log.Unproven()
	if err != nil {
		return nil, err
	}
	rep := &AdoptReport{Lines: len(list)}
	latest := make(map[merkle.Hash]int, len(list))
	for i, p := range list {
		latest[p.Line.Root] = i
	}
	var gone rootlog.Dropped
	for i := range list {
		line := list[i].Line
		there, err := s.dir.Has(line.Root)
		if err != nil {
			return nil, err
		}
		if !there && i == len(list)-1 {
			return nil, corrupt(s.dir.Log.Path(), "generation %d, the head, root %s: not held",
				line.Number, line.Root)
		}
		if !there || latest[line.Root] != i {
			gone = gone.With(uint64(i), uint64(i)+1)
			continue
		}
		signed, made, err := s.verifyToAdopt(ctx, line, progress)
		if err != nil {
			return nil, fmt.Errorf("generation %d: %w", line.Number, err)
		}
		if rep.Verified++; made {
			rep.Signed++
		}
		list[i].Signed = signed
	}
	if len(list) == 0 {
		return rep, nil
	}
	return rep, s.dir.Log.Adopt(list, gone)
}

// verifyToAdopt verifies a held generation, and makes its signature if that is missing and the key
// is here. signed says that the generation has a signature afterwards.
func (s *Store) verifyToAdopt(ctx context.Context, line module.Generation,
	progress func(done, total int64)) (signed, made bool, err error) {
	g, err := s.open(line)
	if err != nil {
		return false, false, err
	}
	v, err := s.verify(ctx, g, &VerifyOptions{Deep: true, Progress: progress})
	if err != nil {
		return false, false, err
	}
	if v.Signed {
		return true, false, nil
	}
	key, err := s.Signer()
	if errors.Is(err, ErrNoKey) || err == nil && key.PublicKey() != g.PublicKey() {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	r, err := signRoot(ctx, s.set.id, line.Root, key)
	if err == nil {
		err = s.dir.Signatures.Write(r)
	}
	return err == nil, err == nil, err
}

// Proven reports whether the lines of the history have proofs. A history of the reference
// implementation or of an earlier version has none until Adopt makes them. A store without
// generations is proven.
func (s *Store) Proven(context.Context) (bool, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return false, err
	}
	return h.Proven() || h.Len() == 0, nil
}
