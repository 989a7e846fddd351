package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// workspace opens the nearest workspace; the caller closes it.
func (a *app) workspace() (*digstore.Workspace, error) {
	return digstore.Find(".", nil)
}

// findOrInit opens the nearest workspace, or makes one in the current folder.
func (a *app) findOrInit() (*digstore.Workspace, error) {
	ws, err := digstore.Find(".", nil)
	if !errors.Is(err, digstore.ErrNoWorkspace) {
		return ws, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return digstore.Init(here, nil)
}

// withStore runs do on the store that --store names, or on the active one.
func (a *app) withStore(do func(*digstore.Store) error) error {
	ws, err := a.workspace()
	if err != nil {
		return err
	}
	defer ws.Close()
	s, err := a.pick(ws)
	if err != nil {
		return err
	}
	return do(s)
}

func (a *app) pick(ws *digstore.Workspace) (*digstore.Store, error) {
	if a.store != "" {
		s, err := ws.Store(a.store)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &hinted{err, "digstore stores lists those that are here"}
		}
		return s, err
	}
	s, err := ws.Active()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hinted{err, "name one with --store, or choose one with: digstore use NAME"}
	}
	return s, err
}

// generation opens the generation that text names: "" is the head, else see
// findRoot.
func (a *app) generation(ctx context.Context, s *digstore.Store, text string) (*digstore.Generation, error) {
	if text == "" {
		g, err := s.Latest()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &hinted{fmt.Errorf("store %s has no generation yet: %w", s.Name(), fs.ErrNotExist), "digstore commit -m MESSAGE makes the first"}
		}
		return g, err
	}
	line, err := findRoot(ctx, s, text)
	if err != nil {
		return nil, err
	}
	return s.At(line.Root)
}

// findRoot finds a generation by its root, by the first 8 or more digits of
// its root, or by its number.
func findRoot(ctx context.Context, s *digstore.Store, text string) (module.Generation, error) {
	lines, err := s.Generations(ctx)
	if err != nil {
		return module.Generation{}, err
	}
	if number, err := strconv.ParseUint(text, 10, 64); err == nil && len(text) < 8 {
		if number < uint64(len(lines)) {
			return lines[number], nil
		}
		return module.Generation{}, &hinted{fmt.Errorf("generation %d: %w", number, fs.ErrNotExist), "digstore log lists the generations"}
	}
	var found []module.Generation
	for _, line := range lines {
		if root := line.Root.String(); len(text) >= 8 && len(text) <= len(root) && strings.EqualFold(root[:len(text)], text) {
			found = append(found, line)
		}
	}
	switch {
	case len(found) == 1 || len(found) > 1 && len(text) == 2*len(merkle.Hash{}):
		return found[len(found)-1], nil // a root may recur in a chain lineage: the latest place counts
	case len(found) > 1:
		return module.Generation{}, usage("give more digits", "root %s: %d generations begin so", text, len(found))
	}
	return module.Generation{}, &hinted{fmt.Errorf("root %s: %w", printable(text), fs.ErrNotExist), "give a root of digstore log, its first 8 or more digits, or the generation's number"}
}
