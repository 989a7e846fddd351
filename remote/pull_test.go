package remote_test

import (
	"errors"
	"io"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// cloned returns an origin with n generations, its key, and a clone of it.
func cloned(t *testing.T, id auth.StoreID, n int) (*direct, *auth.Key, *remotetest.Memory) {
	t.Helper()
	origin, by := store(t, id, n)
	to := origin.empty()
	if _, err := remote.Clone(t.Context(), to, origin,
		remote.Trust{Publisher: by.PublicKey()}); err != nil {
		t.Fatal(err)
	}
	origin.asked = nil
	return origin, by, to
}

func TestPullOverHTTP(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	c := s.client(l, nil)
	to := (&direct{Memory: s.memory}).empty()
	if _, err := remote.Clone(t.Context(), to, c, remote.Trust{FirstUse: true}); err != nil {
		t.Fatal(err)
	}
	l.requests()
	report, err := remote.Pull(t.Context(), to, c, remote.Trust{})
	if err != nil || !report.UpToDate || report.Root != s.head().Root || !report.KeyProven {
		t.Errorf("nothing new: %+v, %v", report, err)
	}
	equal(t, "requests with nothing new", l.requests(), []string{"GET"})

	var last auth.SignedRoot
	for n := 1; n < 4; n++ {
		if last, err = s.memory.Publish(t.Context(), s.publisher, files(n)); err != nil {
			t.Fatal(err)
		}
	}
	report, err = remote.Pull(t.Context(), to, c, remote.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if report.UpToDate || report.Root != last.Root || report.From != s.head().Root ||
		report.Generation != 3 || report.Basis != remote.ByPin {
		t.Errorf("report %+v", report)
	}
	equal(t, "requests", l.requests(), []string{"GET", "GET /roots", "GET /module"})
	equal(t, "held", holds(t, to), []bool{true, false, false, true})
	sameModule(t, s.memory, to, last.Root)

	// AllGenerations fetches the two between.
	all := remote.Sync{Trust: remote.Trust{AllowUnsignedHistory: true}, AllGenerations: true}
	if report, err = all.Pull(t.Context(), to, c); err != nil || !report.UpToDate ||
		len(report.Installed) != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	equal(t, "held", holds(t, to), []bool{true, true, true, true})
}

func TestPullAncestry(t *testing.T) {
	t.Run("rollback", func(t *testing.T) {
		origin, by, to := cloned(t, launcher, 3)
		older := &direct{Memory: origin.empty()}
		older.publish(t, by, 0)
		older.publish(t, by, 1)
		_, err := remote.Pull(t.Context(), to, older, remote.Trust{})
		refused(t, err, remote.CheckRollback, remote.ErrRollback)
	})
	t.Run("diverged", func(t *testing.T) {
		origin, by, to := cloned(t, launcher, 2)
		other := &direct{Memory: origin.empty()}
		other.publish(t, by, 0)
		other.publish(t, by, 7)
		other.publish(t, by, 8)
		_, err := remote.Pull(t.Context(), to, other, remote.Trust{})
		refused(t, err, remote.CheckFork, remote.ErrForked)

		// An anchor accepts the head only if its lineage contains the local head.
		ours, theirs := origin.line(t, 1).Root, other.line(t, 2).Root
		_, err = remote.Pull(t.Context(), to, other, remote.Trust{Anchor: plain{theirs}})
		refused(t, err, remote.CheckFork, remote.ErrForked)
		report, err := remote.Pull(t.Context(), to, other,
			remote.Trust{Anchor: &anchor{root: theirs, lineage: []merkle.Hash{ours, theirs}}})
		if err != nil || report.Root != theirs || report.Generation != 2 {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("anchor at what we have", func(t *testing.T) {
		origin, by, to := cloned(t, launcher, 2)
		newer := origin.publish(t, by, 2).Root
		for n, unanchored := range []bool{true, false} {
			report, err := remote.Pull(t.Context(), to, origin,
				remote.Trust{Anchor: plain{origin.line(t, n).Root}})
			if err != nil || !report.UpToDate || report.Unanchored != unanchored ||
				report.NewerHead != newer || report.Generation != 1 {
				t.Errorf("%d: %+v, %v", n, report, err)
			}
		}
	})
	t.Run("anchor between", func(t *testing.T) {
		origin, by, to := cloned(t, launcher, 1)
		origin.publish(t, by, 1)
		origin.publish(t, by, 2)
		report, err := remote.Pull(t.Context(), to, origin,
			remote.Trust{Anchor: plain{origin.line(t, 1).Root}})
		if err != nil || report.Generation != 1 || report.NewerHead != origin.line(t, 2).Root ||
			report.Unanchored {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("pins outlive the generations", func(t *testing.T) {
		origin, by := store(t, launcher, 1)
		to := origin.empty()
		if err := to.Pin(t.Context(),
			module.Pins{Publisher: by.PublicKey(), Root: merkle.Hash{7}, Generation: 5}); err != nil {
			t.Fatal(err)
		}
		_, err := remote.Pull(t.Context(), to, origin, remote.Trust{})
		refused(t, err, remote.CheckRollback, remote.ErrRollback)
	})
}

// TestUnsignedHead checks that a head without a signature is accepted if an anchor or Trust.Root
// confirms it, that no key is pinned from it, and that a pinned key must be the module's.
func TestUnsignedHead(t *testing.T) {
	given := func(root merkle.Hash, key auth.PublicKey) map[string]remote.Trust {
		return map[string]remote.Trust{
			"anchor":             {Anchor: plain{root}},
			"root":               {Root: root},
			"root and first use": {Root: root, FirstUse: true, KeyHashID: true, Known: knownStores{}},
			"root and publisher": {Root: root, Publisher: key},
		}
	}
	bare := func(d *remote.Descriptor) { d.PushSig, d.Untagged = auth.Signature{}, auth.Signature{} }
	t.Run("clone", func(t *testing.T) {
		origin, by := store(t, launcher, 1)
		origin.describe = bare
		root := origin.line(t, 0).Root
		for name, trust := range given(root, by.PublicKey()) {
			to := origin.empty()
			report, err := remote.Clone(t.Context(), to, origin, trust)
			if err != nil || !report.Unsigned || report.Unanchored || report.Passed(remote.CheckSignature) {
				t.Fatalf("%s: %+v, %v", name, report, err)
			}
			pins, err := to.Pins(t.Context())
			if err != nil || pins.Root != root || pins.Publisher != trust.Publisher {
				t.Errorf("%s: pins %+v, %v", name, pins, err)
			}
			if known, ok := trust.Known.(knownStores); ok && len(known) != 0 {
				t.Errorf("%s: the key is remembered", name)
			}
			// Nothing is new, and still no key is pinned.
			if report, err := remote.Pull(t.Context(), to, origin, trust); err != nil || !report.UpToDate {
				t.Errorf("%s, again: %+v, %v", name, report, err)
			}
		}
		for name, trust := range map[string]remote.Trust{"first use": {FirstUse: true},
			"publisher":    {Publisher: by.PublicKey()},
			"accepted key": {AcceptKey: by.PublicKey()}} {
			to := origin.empty()
			_, err := remote.Clone(t.Context(), to, origin, trust)
			refused(t, err, remote.CheckSignature, auth.ErrUnsigned)
			untouched(t, to)
			_ = name
		}
	})
	t.Run("pull", func(t *testing.T) {
		origin, by, to := cloned(t, launcher, 1)
		origin.publish(t, by, 1)
		origin.describe = bare
		report, err := remote.Pull(t.Context(), to, origin,
			remote.Trust{Anchor: plain{origin.line(t, 1).Root}})
		if err != nil || !report.Unsigned {
			t.Fatalf("%+v, %v", report, err)
		}
		if pins, err := to.Pins(t.Context()); err != nil || pins.Publisher != by.PublicKey() {
			t.Errorf("pins %+v, %v: the key was held before", pins, err)
		}
		// Another key that signed nothing is refused even if AcceptKey names it.
		other, next := &direct{Memory: origin.empty()}, key(0x77)
		other.publish(t, by, 0)
		other.publish(t, by, 1)
		other.publish(t, next, 2)
		other.describe = bare
		root := other.line(t, 2).Root
		for _, trust := range []remote.Trust{{Root: root}, {Anchor: plain{root}},
			{Root: root, AcceptKey: next.PublicKey()}} {
			_, err = remote.Pull(t.Context(), to, other, trust)
			refused(t, err, remote.CheckPublisher, remote.ErrKeyChanged)
		}
	})
	t.Run("two origins", func(t *testing.T) {
		origin, by := store(t, launcher, 1)
		silent, _ := store(t, launcher, 1)
		silent.describe = func(d *remote.Descriptor) { bare(d); d.PublicKey = key(9).PublicKey() }
		root := origin.line(t, 0).Root
		for _, mirrors := range [][]remote.Mirror{{{Name: "silent", Origin: silent},
			{Name: "signed", Origin: origin}},
			{{Name: "signed", Origin: origin}, {Name: "silent", Origin: silent}}} {
			all, err := remote.NewOrigins(mirrors, nil)
			if err != nil {
				t.Fatal(err)
			}
			to := origin.empty()
			report, err := remote.Clone(t.Context(), to, all, remote.Trust{Root: root})
			if err != nil || report.Unsigned || report.Publisher != by.PublicKey() {
				t.Errorf("%s first: %+v, %v", mirrors[0].Name, report, err)
			}
		}
	})
}

// TestPullRevert checks an origin whose head is again an older root of the local history. The old
// signature does not prove that the publisher reverted.
func TestPullRevert(t *testing.T) {
	for _, c := range []struct {
		name  string
		trust func(old merkle.Hash) remote.Trust
		taken bool
	}{
		{"nothing speaks for it", func(merkle.Hash) remote.Trust { return remote.Trust{} }, false},
		{"accepted", func(merkle.Hash) remote.Trust { return remote.Trust{AcceptRevert: true} }, true},
		{"anchored", func(old merkle.Hash) remote.Trust { return remote.Trust{Anchor: plain{old}} }, true},
		{"given", func(old merkle.Hash) remote.Trust { return remote.Trust{Root: old} }, true},
		{"its head accepted", func(old merkle.Hash) remote.Trust { return remote.Trust{AcceptHead: old} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin, by, to := cloned(t, launcher, 1)
			old := origin.line(t, 0).Root
			origin.publish(t, by, 1)
			if _, err := remote.Pull(t.Context(), to, origin, remote.Trust{}); err != nil {
				t.Fatal(err)
			}
			origin.publish(t, by, 0)
			origin.asked = nil
			report, err := remote.Pull(t.Context(), to, origin, c.trust(old))
			if !c.taken {
				refused(t, err, remote.CheckRollback, remote.ErrRollback)
				return
			}
			if err != nil || report.Root != old || report.Generation != 2 || !report.Reverted ||
				report.Passed(remote.CheckETag) {
				t.Fatalf("%+v, %v", report, err)
			}
			equal(t, "asked", origin.asked, []string{"describe", "roots"})
			if head, err := to.Head(t.Context()); err != nil || head.Root != old || head.Check() != nil {
				t.Errorf("head %+v, %v", head, err)
			}
			// Later generations need no further option.
			origin.publish(t, by, 2)
			if report, err = remote.Pull(t.Context(), to, origin, remote.Trust{}); err != nil ||
				report.Generation != 3 || report.Reverted {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
	t.Run("an anchor at a root of before is no revert", func(t *testing.T) {
		origin, by, to := cloned(t, launcher, 2)
		origin.publish(t, by, 2)
		report, err := remote.Pull(t.Context(), to, origin,
			remote.Trust{Anchor: plain{origin.line(t, 0).Root}})
		if err != nil || !report.UpToDate || report.Reverted {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("one of two origins", func(t *testing.T) {
		straight, by := store(t, launcher, 2)
		back, _ := store(t, launcher, 2)
		back.publish(t, by, 0)
		for _, accept := range []bool{false, true} {
			for _, mirrors := range [][]remote.Mirror{{{Name: "straight", Origin: straight},
				{Name: "back", Origin: back}},
				{{Name: "back", Origin: back}, {Name: "straight", Origin: straight}}} {
				all, err := remote.NewOrigins(mirrors, nil)
				if err != nil {
					t.Fatal(err)
				}
				want := straight.line(t, 1).Root
				if accept {
					want = straight.line(t, 0).Root
				}
				report, err := remote.Clone(t.Context(), straight.empty(), all,
					remote.Trust{Publisher: by.PublicKey(), AcceptRevert: accept})
				if err != nil || report.Root != want {
					t.Errorf("accept %v, %s first: root %s, %v", accept, mirrors[0].Name, report.Root, err)
				}
			}
		}
	})
}

// TestPullKey checks that another publisher key is accepted if an anchor confirms a root that it
// signed, or the caller names it.
func TestPullKey(t *testing.T) {
	successor := key(0x77)
	for _, c := range []struct {
		name  string
		trust func(head merkle.Hash) remote.Trust
		ok    bool
	}{
		{"refused", func(merkle.Hash) remote.Trust { return remote.Trust{} }, false},
		{"first use does not help", func(merkle.Hash) remote.Trust { return remote.Trust{FirstUse: true} }, false},
		{"a root does not help", func(h merkle.Hash) remote.Trust { return remote.Trust{Root: h} }, false},
		{"an anchor does", func(h merkle.Hash) remote.Trust { return remote.Trust{Anchor: plain{h}} }, true},
		{"naming it does", func(merkle.Hash) remote.Trust { return remote.Trust{AcceptKey: successor.PublicKey()} }, true},
		{"naming another does not", func(merkle.Hash) remote.Trust { return remote.Trust{AcceptKey: key(1).PublicKey()} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin, _, to := cloned(t, launcher, 1)
			head := origin.publish(t, successor, 1)
			report, err := remote.Pull(t.Context(), to, origin, c.trust(head.Root))
			if !c.ok {
				refused(t, err, remote.CheckPublisher, remote.ErrKeyChanged)
				return
			}
			if err != nil || !report.KeyChanged || report.Publisher != successor.PublicKey() {
				t.Fatalf("%+v, %v", report, err)
			}
			pins, err := to.Pins(t.Context())
			if err != nil || pins.Publisher != successor.PublicKey() {
				t.Errorf("the pin stayed: %+v, %v", pins, err)
			}
			origin.publish(t, successor, 2)
			if report, err := remote.Pull(t.Context(), to, origin, remote.Trust{}); err != nil ||
				report.KeyChanged {
				t.Errorf("next pull: %+v, %v", report, err)
			}
		})
	}
}

// TestPullMovingHead changes the head between the descriptor and the module.
func TestPullMovingHead(t *testing.T) {
	for _, moves := range []int{1, 3, 4} {
		origin, by, to := cloned(t, launcher, 1)
		origin.publish(t, by, 1)
		left := moves
		origin.open = func(root merkle.Hash, r io.ReadCloser) (io.ReadCloser, error) {
			if left > 0 {
				left--
				r.Close()
				origin.publish(t, by, 10+left)
				return nil, &remote.VerificationError{Check: remote.CheckETag,
					Want: root.String(), Got: "another"}
			}
			return r, nil
		}
		report, err := remote.Pull(t.Context(), to, origin, remote.Trust{})
		if moves > 3 {
			refused(t, err, remote.CheckETag, nil)
			continue
		}
		if err != nil || report.Generation != uint64(1+moves) {
			t.Errorf("%d moves: %+v, %v", moves, report, err)
		}
	}
}

func TestPullTombstones(t *testing.T) {
	stone := func(t *testing.T, d *direct, by *auth.Key, root merkle.Hash) auth.Tombstone {
		t.Helper()
		s, err := auth.SignTombstone(t.Context(),
			auth.Tombstone{Store: d.ID(), Root: root, NotAfter: 1, Reason: auth.Compromise}, by)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		name    string
		by      byte
		newer   int // generations at the origin after the local head
		root    func(*direct) merkle.Hash
		refused bool
	}{
		{"the store", 0x2a, 1, func(*direct) merkle.Hash { return merkle.Hash{} }, true},
		{"the store, nothing new", 0x2a, 0, func(*direct) merkle.Hash { return merkle.Hash{} }, true},
		{"our head, which has a successor", 0x2a, 1, func(d *direct) merkle.Hash { return d.line(t, 0).Root }, false},
		{"our head, which has none", 0x2a, 0, func(d *direct) merkle.Hash { return d.line(t, 0).Root }, true},
		{"the new head", 0x2a, 1, func(d *direct) merkle.Hash { return d.line(t, 1).Root }, true},
		{"one between", 0x2a, 2, func(d *direct) merkle.Hash { return d.line(t, 1).Root }, false},
		{"another root", 0x2a, 1, func(*direct) merkle.Hash { return merkle.Hash{5} }, false},
		{"by another key", 0x13, 1, func(*direct) merkle.Hash { return merkle.Hash{} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin, by, to := cloned(t, launcher, 1)
			for n := range c.newer {
				origin.publish(t, by, 1+n)
			}
			s := stone(t, origin, key(c.by), c.root(origin))
			hidden := false
			origin.describe = func(d *remote.Descriptor) {
				if !hidden {
					d.Tombstones = []auth.Tombstone{s}
				}
			}
			_, err := remote.Pull(t.Context(), to, origin, remote.Trust{})
			kept, kerr := to.Tombstones(t.Context(), to.ID())
			if kerr != nil {
				t.Fatal(kerr)
			}
			if valid := c.by == 0x2a; (len(kept) == 1) != valid {
				t.Errorf("kept %v", kept)
			}
			if !c.refused {
				head, herr := to.Head(t.Context())
				if err != nil || herr != nil || head.Root != origin.line(t, c.newer).Root {
					t.Errorf("head %s, %v, %v", head.Root, err, herr)
				}
				return
			}
			refused(t, err, remote.CheckTombstone, auth.ErrRevoked)
			// A tombstone seen once applies although the origin withholds it.
			hidden = true
			_, err = remote.Pull(t.Context(), to, origin, remote.Trust{})
			refused(t, err, remote.CheckTombstone, auth.ErrRevoked)
		})
	}
}

// TestCloneTombstone checks that a first clone fails for a tombstone of the key that it would have
// accepted.
func TestCloneTombstone(t *testing.T) {
	origin, by := store(t, launcher, 1)
	s, err := auth.SignTombstone(t.Context(), auth.Tombstone{Store: launcher}, by)
	if err != nil {
		t.Fatal(err)
	}
	if err := origin.Revoke(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	to := origin.empty()
	_, err = remote.Clone(t.Context(), to, origin, remote.Trust{FirstUse: true})
	refused(t, err, remote.CheckTombstone, auth.ErrRevoked)
	untouched(t, to)
	equal(t, "asked", origin.asked, []string{"describe", "roots"})
	// The tombstone applies although the next origin withholds it, and its key is pinned.
	if pins, err := to.Pins(t.Context()); err != nil || pins.Publisher != by.PublicKey() {
		t.Errorf("pins %+v, %v", pins, err)
	}
	origin.describe = func(d *remote.Descriptor) { d.Tombstones = nil }
	_, err = remote.Clone(t.Context(), to, origin, remote.Trust{FirstUse: true})
	refused(t, err, remote.CheckTombstone, auth.ErrRevoked)
	untouched(t, to)
}

// TestTombstoneOfAnotherStore checks that a publisher's tombstone of another store does not apply.
func TestTombstoneOfAnotherStore(t *testing.T) {
	origin, by := store(t, launcher, 1)
	s, err := auth.SignTombstone(t.Context(), auth.Tombstone{Store: auth.StoreID{9}}, by)
	if err != nil {
		t.Fatal(err)
	}
	origin.describe = func(d *remote.Descriptor) { d.Tombstones = append(d.Tombstones, s) }
	report, err := remote.Clone(t.Context(), origin.empty(), origin, remote.Trust{FirstUse: true})
	if err != nil || len(report.Tombstones) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// breaking is a reader that fails after n bytes.
type breaking struct {
	io.ReadCloser
	left int
}

var errBroken = errors.New("connection reset by the test")

func (b *breaking) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errBroken
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// TestPullBusyPublisher checks that a pull succeeds although the head changes between any two
// requests.
func TestPullBusyPublisher(t *testing.T) {
	origin, by, to := cloned(t, launcher, 1)
	origin.publish(t, by, 1)
	n := 2
	origin.describe = func(*remote.Descriptor) { // after it was read, so that it is out of date
		origin.publish(t, by, n)
		n++
	}
	report, err := remote.Pull(t.Context(), to, origin, remote.Trust{})
	if err != nil || report.Generation == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if lines, err := to.Generations(t.Context()); err != nil ||
		len(lines) != int(report.Generation)+1 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}
