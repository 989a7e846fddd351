package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// lastSecond is the end of the year 9999 in Unix seconds: later times have no form in JSON.
const lastSecond = 253402300799

// Install takes the module in r apart as it comes, calls check on the module that the store can
// give back, and only then makes it visible. lines are the history lines that follow the store's;
// the last is the generation in r, those before it are recorded as not held. For a generation whose
// line is there but which is not held, lines is just that line. Of a generation that is held
// already and comes again, further down the history, nothing is read from r: check is given what is
// held. One that is not held is held on its earlier line before the new one is there. head carries
// the signatures that are known for the root.
//
// The error wraps whatever r or check returned; nothing is visible then. What came before r broke
// off is kept: Held says how much, and the next Install of the root is given a reader that starts
// there. A generation that is held already is fs.ErrExist. The lock is taken only at the end, so
// other writers do not wait for the transfer.
func (s *Store) Install(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	r io.Reader, check func(*module.Module) error) error {
	root, held, err := s.expect(ctx, lines, &head)
	if err == nil && held {
		err = s.again(ctx, root, lines, head, check)
	}
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if held {
		return nil
	}
	in, err := incoming.Open(ctx, s.w.fs, s.partDir(root), s.packs)
	if err != nil {
		return fmt.Errorf("install %s: %w", root, err)
	}
	defer in.Close()
	recipe, err := in.Accept(ctx, module.ID{Store: s.set.id, Root: root}, r, check)
	if err != nil {
		return fmt.Errorf("install %s: %w", root, err)
	}
	if err := s.settle(ctx, in, recipe, head, lines); err != nil {
		return fmt.Errorf("install %s: %w", root, err)
	}
	return nil
}

// expect returns the root that lines lead to, if it may be installed, and sweeps before its
// transfer. held says that the generation is here, and only its line is new.
func (s *Store) expect(ctx context.Context, lines []module.Generation,
	head *auth.SignedRoot) (root merkle.Hash, held bool, err error) {
	if len(lines) == 0 {
		return root, false, errors.New("no history line is given")
	}
	root = lines[len(lines)-1].Root
	if head.Root.IsZero() {
		head.Root = root
	}
	if head.Root != root {
		return root, false, fmt.Errorf("%s: the signatures are of root %s", root, head.Root)
	}
	h, err := s.log.Current()
	if err != nil {
		return root, false, err
	}
	_, ok, err := h.Find(root)
	if err != nil {
		return root, false, err
	}
	if ok {
		held, err = s.holds(root)
		if err == nil && held && lines[0].Number < h.Len() {
			err = fs.ErrExist
		}
		if err != nil {
			return root, false, fmt.Errorf("%s: %w", root, err)
		}
	}
	return root, held, s.sweepNow(ctx)
}

// again appends lines that lead to a generation which is held.
func (s *Store) again(ctx context.Context, root merkle.Hash, lines []module.Generation,
	head auth.SignedRoot, check func(*module.Module) error) error {
	g, err := s.At(root)
	if err != nil {
		return err
	}
	if check != nil {
		if err := check(g.Module()); err != nil {
			return fmt.Errorf("%s: %w", root, err)
		}
	}
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if there, err := s.holds(root); err != nil {
		return fmt.Errorf("%s: %w", root, err)
	} else if !there {
		return fmt.Errorf("%s: a gc has just dropped it: %w", root, fs.ErrNotExist)
	}
	if lines, err = s.newLines(h, lines); err != nil {
		return err
	}
	if err := s.writeSigs(head); err != nil {
		return err
	}
	return s.log.Extend(h, lines)
}

// settle publishes what was received and checked, under the lock.
func (s *Store) settle(ctx context.Context, in *incoming.Transfer, recipe *module.Recipe,
	head auth.SignedRoot, lines []module.Generation) error {
	l, h, err := s.lockSwept(ctx) // what comes may be what is missing
	if err != nil {
		return err
	}
	defer l.Close()
	if lines, err = s.newLines(h, lines); err != nil {
		return err
	}
	if len(lines) > 0 {
		if err := s.checkHead(h); err != nil {
			return err
		}
	}
	if err := s.learnListed(in, recipe); err != nil {
		return err
	}
	return s.keepIncoming(ctx, h, in, &arrival{recipe: recipe, head: head, lines: lines})
}

// newLines returns those of lines that the history lacks: all, when they follow it, and none, when
// there is one and it is a line of a generation that is not held. Their times are those of 1970 to
// 9999, so that each has a form in JSON.
func (s *Store) newLines(h *history.History,
	lines []module.Generation) ([]module.Generation, error) {
	if first := lines[0]; len(lines) == 1 && first.Number < h.Len() {
		have, err := h.Line(first.Number)
		if err != nil {
			return nil, err
		}
		if have.Root != first.Root {
			return nil, fmt.Errorf("history line %d is root %s here, %s there: %w", first.Number, have.Root,
				first.Root, module.ErrNotHead)
		}
		there, err := s.holds(first.Root)
		if err != nil {
			return nil, err
		}
		if there {
			return nil, fmt.Errorf("generation %d: %w", have.Number, fs.ErrExist)
		}
		return nil, nil
	}
	for i, g := range lines {
		if seconds := g.Time.Unix(); seconds < 0 || seconds > lastSecond {
			return nil, fmt.Errorf("time of history line %d: expected 1970 to 9999, found %d seconds: %w",
				g.Number, seconds, module.ErrFormat)
		}
		if g.Number != h.Len()+uint64(i) {
			return nil, fmt.Errorf("history line %d follows %d generations here: %w", g.Number,
				h.Len(), module.ErrNotHead)
		}
	}
	return lines, nil
}

// keepIncoming publishes what was received. The caller holds the lock.
func (s *Store) keepIncoming(ctx context.Context, h *history.History, in *incoming.Transfer,
	a *arrival) error {
	if err := s.checkPool(a.recipe, in.Has); err != nil {
		return err
	}
	name, err := in.Packed()
	if err != nil {
		return err
	}
	a.packed, a.chunks = name, in.Entries()
	return s.publish(ctx, h, a)
}

// checkPool makes sure that every chunk is there: a gc may have run while the module came.
func (s *Store) checkPool(recipe *module.Recipe, brought func(id merkle.Hash) bool) error {
	for _, c := range recipe.Pool() {
		if brought(c.ID) {
			continue
		}
		had, err := s.packs.Has(c.ID)
		if err != nil {
			return err
		}
		if !had {
			return fmt.Errorf("a gc has removed a chunk that was counted on (run the command again): %w",
				packdir.Missing(c))
		}
	}
	return nil
}

// Head returns the newest generation with the signatures that are known; a zero root when the store
// has none. Where the store's key is here, missing signatures are made for the answer; nothing is
// written.
func (s *Store) Head(ctx context.Context) (auth.SignedRoot, error) {
	h, err := s.log.Current()
	if err != nil {
		return auth.SignedRoot{}, err
	}
	g, ok := h.Head()
	if !ok {
		pins, err := s.readPins()
		if err != nil {
			return auth.SignedRoot{}, err
		}
		head := auth.SignedRoot{Store: s.set.id, PublicKey: pins.Publisher}
		if key, err := s.Signer(); err == nil && head.PublicKey.IsZero() {
			head.PublicKey = key.PublicKey()
		}
		return head, nil
	}
	return s.SignedRoot(ctx, g.Root)
}

// SignedRoot is Head for one generation of the history; fs.ErrNotExist when the root is not in it.
func (s *Store) SignedRoot(ctx context.Context, root merkle.Hash) (auth.SignedRoot, error) {
	h, err := s.log.Current()
	if err != nil {
		return auth.SignedRoot{}, err
	}
	if _, ok, err := h.Find(root); err != nil {
		return auth.SignedRoot{}, err
	} else if !ok {
		return auth.SignedRoot{}, fmt.Errorf("store %s: root %s: %w", s.name, root, fs.ErrNotExist)
	}
	r, err := s.readSigs(root)
	if err != nil {
		return r, err
	}
	if r.PublicKey, err = s.publisherOf(root); err != nil || r.PublicKey.IsZero() {
		return r, err
	}
	if !r.Tagged.IsZero() && !r.Untagged.IsZero() {
		return r, nil
	}
	key, err := s.Signer()
	if err != nil || key.PublicKey() != r.PublicKey {
		return r, nil
	}
	return s.signInMemory(ctx, root, key)
}

// publisherOf is the key in the module of a generation; zero when the generation is not held and
// not pinned. The pins of a clone name it for the head, which spares a pull with nothing new from
// reading the recipe.
func (s *Store) publisherOf(root merkle.Hash) (auth.PublicKey, error) {
	pins, err := s.readPins()
	if err != nil || pins.Root == root && !pins.Publisher.IsZero() {
		return pins.Publisher, err
	}
	if pins.Root == root { // it came without a signature, and the key in its module is no publisher's
		return s.ownKey()
	}
	return keyIn(s.At(root))
}

// signInMemory makes both signatures of a root, and remembers those that it made last. It is for
// readers, which write nothing: KeepSigned keeps signatures on disk.
func (s *Store) signInMemory(ctx context.Context, root merkle.Hash,
	key auth.Signer) (auth.SignedRoot, error) {
	s.mu.Lock()
	made := s.made
	s.mu.Unlock()
	if made.Root == root && made.PublicKey == key.PublicKey() {
		return made, nil
	}
	made, err := signRoot(ctx, s.set.id, root, key)
	if err != nil {
		return made, err
	}
	s.mu.Lock()
	s.made = made
	s.mu.Unlock()
	return made, nil
}

func signRoot(ctx context.Context, id auth.StoreID, root merkle.Hash,
	key auth.Signer) (auth.SignedRoot, error) {
	r, err := auth.SignRoot(ctx, id, root, key)
	if err != nil {
		return r, fmt.Errorf("sign root %s: %w", root, err)
	}
	return r, nil
}

// KeepSigned keeps the signatures of a generation of the history; the caller has checked them.
func (s *Store) KeepSigned(ctx context.Context, r auth.SignedRoot) error {
	l, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("keep signatures: %w", err)
	}
	defer l.Close()
	return s.writeSigs(r)
}
