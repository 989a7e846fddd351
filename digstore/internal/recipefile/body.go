package recipefile

import (
	"fmt"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/codec"
)

// A Body is a recipe as a store keeps it. Its fields must not be changed.
type Body struct {
	Recipe *module.Recipe
	// Names are the names of the resources, one for each row of the key table. nil: unknown.
	Names []string
	// Bytes is the encoding, on which the files of other generations are built.
	Bytes []byte
}

// NewBody encodes a recipe and the names of its resources. names is nil if they are unknown.
func NewBody(r *module.Recipe, names []string) (*Body, error) {
	raw, err := r.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("write recipe: %w", err)
	}
	size := 4 + len(raw) + 1 + 4
	for _, n := range names {
		size += 4 + len(n)
	}
	w := codec.NewWriter(make([]byte, 0, size))
	w.Bytes(raw)
	w.Option(names != nil)
	if names != nil {
		w.Count(len(names))
		for _, n := range names {
			w.String(n)
		}
	}
	bytes, err := w.Done()
	if err != nil {
		return nil, fmt.Errorf("write recipe: %w", err)
	}
	return &Body{Recipe: r, Names: names, Bytes: bytes}, nil
}

// ParseBody decodes a body, which refers to b. Any error matches module.ErrDamaged.
func ParseBody(b []byte) (*Body, error) {
	body, err := parseBody(b)
	if err != nil {
		return nil, damage.Errorf("%v", err)
	}
	return body, nil
}

func parseBody(b []byte) (*Body, error) {
	body := &Body{Bytes: b}
	r := codec.NewReader(b)
	raw := r.Bytes()
	if r.Option() {
		n := r.Count(4)
		body.Names = make([]string, 0, n)
		for range n {
			body.Names = append(body.Names, r.String())
		}
	}
	if err := r.Done(); err != nil {
		return nil, err
	}
	var err error
	if body.Recipe, err = module.ParseRecipe(raw); err != nil {
		return nil, err
	}
	if body.Names != nil && len(body.Names) != body.Recipe.Len() {
		return nil, fmt.Errorf("%d names for %d resources", len(body.Names), body.Recipe.Len())
	}
	return body, nil
}
