package urn

import (
	"fmt"

	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

// AppendBinary appends the encoding of FORMAT.md 9: chain, store id,
// optional root, optional resource.
func (u URN) AppendBinary(b []byte) ([]byte, error) {
	w := codec.NewWriter(b)
	if u.Chain == "" {
		u.Chain = Chain
	}
	w.String(u.Chain)
	w.Fixed(u.Store[:])
	rooted := !u.Root.IsZero() || u.rootGiven
	w.Option(rooted)
	if rooted {
		w.Fixed(u.Root[:])
	}
	w.Option(!u.Whole)
	if !u.Whole {
		w.String(u.Resource)
	}
	b, err := w.Done()
	if err != nil {
		return nil, fmt.Errorf("encode URN: %w", err)
	}
	return b, nil
}

// MarshalBinary returns the encoding that AppendBinary appends.
func (u URN) MarshalBinary() ([]byte, error) { return u.AppendBinary(nil) }

// UnmarshalBinary reads the encoding of FORMAT.md 9 from the start of b
// and ignores what follows.
func (u *URN) UnmarshalBinary(b []byte) error {
	r := codec.NewReader(b)
	d := URN{Chain: r.String(), Whole: true}
	r.Fixed(d.Store[:])
	if r.Option() {
		r.Fixed(d.Root[:])
		d.rootGiven = d.Root == merkle.Hash{}
	}
	if r.Option() {
		d.Resource, d.Whole = r.String(), false
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("decode URN: %w", err)
	}
	*u = d
	return nil
}
