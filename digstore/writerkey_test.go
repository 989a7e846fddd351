package digstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
)

// TestAdoptKey: a writer commits to a clone with another key, and then the owner commits.
func TestAdoptKey(t *testing.T) {
	rel := releases(1)
	disk := diskfs.NewCrash(home)
	w := must(digstore.Init(home, options(disk)))
	check(t, emptySite(w))
	s := must(w.Store("site"))
	lines := []module.Generation{rel[0].line}
	check(t, s.Install(ctx, lines, rel[0].head, bytes.NewReader(rel[0].module), deep))
	pins := module.Pins{Publisher: publisher.PublicKey(), Root: rel[0].line.Root}
	check(t, s.Pin(ctx, pins))

	writer, other := auth.NewKey([auth.SeedSize]byte{1}), auth.NewKey([auth.SeedSize]byte{2})
	if err := s.ImportKey(ctx, writer); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("import a writer's key as the publisher's: %v", err)
	}
	check(t, s.AdoptKey(ctx, writer))
	check(t, s.AdoptKey(ctx, writer))
	if err := s.AdoptKey(ctx, other); !errors.Is(err, fs.ErrExist) {
		t.Errorf("adopt a second key: %v, want fs.ErrExist", err)
	}
	if err := s.ImportKey(ctx, publisher); !errors.Is(err, fs.ErrExist) {
		t.Errorf("import the publisher's key beside it: %v, want fs.ErrExist", err)
	}
	disk = disk.Recover(1)
	w = must(digstore.Open(home, options(disk)))
	s = must(w.Store("site"))
	if k := must(s.Signer()); k.PublicKey() != writer.PublicKey() {
		t.Errorf("after a crash the signer is %v, want %v", k, writer)
	}
	stage(t, s, version(1))
	if _, err := s.Commit(ctx, other, nil); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("commit with a third key: %v", err)
	}
	if _, err := s.Commit(ctx, nil, nil); err != nil {
		t.Fatalf("the writer's commit: %v", err)
	}
	head := signed(t, s)
	if head.PublicKey != writer.PublicKey() || head.Check() != nil {
		t.Errorf("the head %+v is not signed by the writer: %v", head, head.Check())
	}
	if got := must(s.Pins(ctx)); got != pins {
		t.Errorf("pins %+v, want %+v: what was verified stays", got, pins)
	}

	// The owner has the publisher's key, pulls the writer's generation and commits.
	o := must(must(digstore.Init(home, options(diskfs.NewCrash(home)))).Create(ctx, siteID,
		&digstore.StoreOptions{Key: publisher}))
	stage(t, o, version(0))
	must(o.Commit(ctx, nil, nil))
	lines = must(s.Generations(ctx))
	check(t, o.Install(ctx, lines[1:], head, bytes.NewReader(moduleOf(t, s, head.Root)), deep))
	check(t, o.Pin(ctx, module.Pins{Publisher: head.PublicKey, Root: head.Root, Generation: 1}))
	stage(t, o, version(2))
	if _, err := o.Commit(ctx, nil, nil); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("the owner's commit after the writer's, unasked: %v", err)
	}
	check(t, o.AdoptKey(ctx, publisher))
	must(o.Commit(ctx, nil, nil))
	if head := signed(t, o); head.PublicKey != publisher.PublicKey() {
		t.Errorf("the owner's head %+v", head)
	}
}

// TestAdoptKeyBeforeSalt: the writer of a private store may import the salt after the key, and
// replace a wrong one.
func TestAdoptKeyBeforeSalt(t *testing.T) {
	w := must(digstore.Init(home, options(diskfs.NewCrash(home))))
	check(t, emptySite(w))
	s := must(w.Store("site"))
	check(t, s.AdoptKey(ctx, auth.NewKey([auth.SeedSize]byte{1})))
	check(t, s.ImportSalt(ctx, &urn.Salt{1}))
	check(t, s.ImportSalt(ctx, &urn.Salt{2}))
}
