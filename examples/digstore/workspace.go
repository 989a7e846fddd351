package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
)

// workspace opens the nearest workspace; the caller closes it.
func (a *app) workspace() (*digstore.Workspace, error) {
	return openWith(func(o *digstore.Options) (*digstore.Workspace, error) {
		return digstore.Find(".", o)
	})
}

// openWith opens a workspace with the safe folders and content roots of the user's
// configuration.
func openWith(open func(*digstore.Options) (*digstore.Workspace, error)) (*digstore.Workspace,
	error) {
	c, err := readConfig()
	if err != nil {
		return nil, err
	}
	ws, err := open(&digstore.Options{SafeDirs: c.Safe.Directories})
	if err != nil {
		return nil, err
	}
	for _, root := range c.contentRoots(ws.Dir()) {
		ws.AllowContentRoot(root)
	}
	return ws, nil
}

// workspaceHere is workspace, with a note if the workspace is not that of the current
// folder.
func (a *app) workspaceHere() (*digstore.Workspace, error) {
	ws, err := a.workspace()
	if err != nil {
		return nil, err
	}
	if here, err := os.Getwd(); !a.json && (err != nil || realPath(here) != realPath(ws.Dir())) {
		a.note("the workspace of %s is used", oneline.Name(ws.Dir()))
	}
	return ws, nil
}

// findOrInit is workspaceHere, or makes a workspace in the current folder if there is
// none.
func (a *app) findOrInit() (*digstore.Workspace, error) {
	ws, err := a.workspaceHere()
	if !errors.Is(err, digstore.ErrNoWorkspace) {
		return ws, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return digstore.Init(here, nil)
}

// confirmContentRoot asks the user before the first time that a folder outside of the
// workspace's folder is published, because the setting in .dig may come from another
// user. The answer is kept in the user's configuration.
func (a *app) confirmContentRoot(s *digstore.Store) error {
	err := s.CheckContentRoot()
	var outside *digstore.ContentRootError
	if !errors.As(err, &outside) || outside.Never {
		return err
	}
	question := fmt.Sprintf("let store %s publish %s, which is outside of the workspace's folder %s",
		s.Name(), oneline.Name(outside.ContentRoot), oneline.Name(outside.Workspace))
	if err := a.confirm(question); err != nil {
		return err
	}
	return a.allowContentRoot(s, outside.Workspace, outside.ContentRoot)
}

func (a *app) allowContentRoot(s *digstore.Store, workspace, root string) error {
	c, err := readConfig()
	if err != nil {
		return err
	}
	if !slices.Contains(c.contentRoots(workspace), root) {
		c.ContentRoots = append(c.ContentRoots,
			contentRoot{Workspace: realPath(workspace), Folder: root})
		path, err := c.write()
		if err != nil {
			return err
		}
		a.note("%s is outside of the workspace's folder; the permission to publish it was written to %s",
			oneline.Name(root), path)
	}
	s.AllowContentRoot(root)
	return nil
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
			return nil, &hinted{err, "digstore stores lists the stores of this workspace"}
		}
		return s, err
	}
	s, err := ws.Active()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hinted{err, "name one with --store, or choose one with: digstore use NAME"}
	}
	return s, err
}

// generation opens the generation that text names: "" is the head; see findRoot for
// other texts. It warns of a revoked generation.
func (a *app) generation(ctx context.Context, s *digstore.Store,
	text string) (*digstore.Generation, error) {
	g, err := a.findGeneration(ctx, s, text)
	if err != nil {
		return nil, err
	}
	revoked, err := revocations(ctx, s)
	if err != nil {
		return nil, err
	}
	if why := revoked.of(g.Info().Root); why != "" {
		a.warn("generation %d was revoked by its publisher: %s", g.Info().Number, why)
	}
	return g, nil
}

// revoked are the valid tombstones of a store.
type revoked []auth.Tombstone

func revocations(ctx context.Context, s *digstore.Store) (revoked, error) {
	return s.Tombstones(ctx, s.ID())
}

// of returns why a root, or the whole store, is revoked; "" if it is not.
func (r revoked) of(root merkle.Hash) (why string) {
	for _, t := range r {
		if t.Revokes(root) {
			why = t.Reason.String()
		}
		if t.WholeStore() {
			return why + ", the whole store"
		}
	}
	return why
}

// findGeneration is generation without the warning.
func (a *app) findGeneration(ctx context.Context, s *digstore.Store,
	text string) (*digstore.Generation, error) {
	if text == "" {
		g, err := s.Latest()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &hinted{
				fmt.Errorf("store %s has no generation yet: %w", s.Name(), fs.ErrNotExist),
				"make the first with: digstore commit -m MESSAGE",
			}
		}
		return g, err
	}
	line, err := findRoot(ctx, s, text)
	if err != nil {
		return nil, err
	}
	return s.At(line.Root)
}

// findRoot finds a generation by its root, by the first 8 or more digits of its root,
// or by its number.
func findRoot(ctx context.Context, s *digstore.Store, text string) (module.Generation, error) {
	if root, err := merkle.ParseHash(text); err == nil {
		line, err := s.Line(ctx, root)
		if errors.Is(err, fs.ErrNotExist) {
			err = noRoot(text)
		}
		return line, err
	}
	if number, err := strconv.ParseUint(text, 10, 64); err == nil && len(text) < 8 {
		return numbered(ctx, s, number)
	}
	if len(text) < 8 {
		return module.Generation{}, noRoot(text)
	}
	lines, err := s.Generations(ctx)
	if err != nil {
		return module.Generation{}, err
	}
	var found []module.Generation
	for _, line := range lines {
		root := line.Root.String()
		if len(text) > len(root) || !strings.EqualFold(root[:len(text)], text) {
			continue
		}
		// A root can occur more than once; its last line counts.
		found = slices.DeleteFunc(found, func(g module.Generation) bool { return g.Root == line.Root })
		found = append(found, line)
	}
	switch len(found) {
	case 0:
		return module.Generation{}, noRoot(text)
	case 1:
		return found[0], nil
	}
	return module.Generation{}, usage("give more digits", "root %s: %d roots begin with it", text,
		len(found))
}

// numbered finds a generation by its number.
func numbered(ctx context.Context, s *digstore.Store, number uint64) (module.Generation, error) {
	last, err := s.Tail(ctx, 1)
	if err != nil {
		return module.Generation{}, err
	}
	if len(last) == 0 || number > last[0].Number {
		return module.Generation{}, &hinted{
			fmt.Errorf("generation %d: %w", number, fs.ErrNotExist),
			"digstore log lists the generations",
		}
	}
	lines, err := s.Tail(ctx, int(last[0].Number-number)+1)
	if err != nil {
		return module.Generation{}, err
	}
	return lines[0], nil
}

func noRoot(text string) error {
	return &hinted{
		fmt.Errorf("root %s: %w", oneline.Name(text), fs.ErrNotExist),
		"give a root that digstore log lists, its first 8 or more digits, or a generation's number",
	}
}
