package remote_test

import (
	"errors"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// Preview predicts the pull that follows and writes nothing.
func TestPreview(t *testing.T) {
	for _, c := range []struct {
		name     string
		have, of int // generations held locally and at the origin
		all      bool
		coming   []uint64
	}{
		{"nothing new", 3, 3, false, nil},
		{"a clone", 0, 3, false, []uint64{2}},
		{"a whole clone", 0, 3, true, []uint64{2, 0, 1}},
		{"one more", 2, 3, false, []uint64{2}},
		{"the head of several", 1, 4, false, []uint64{3}},
		{"several", 1, 4, true, []uint64{3, 1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, by := store(t, auth.StoreID{}, c.have)
			to := from.empty()
			sync := &remote.Sync{Trust: remote.Trust{KeyHashID: true, AllowUnsignedHistory: c.all},
				AllGenerations: c.all}
			if c.have > 0 {
				if _, err := sync.Clone(t.Context(), to, from); err != nil {
					t.Fatal(err)
				}
			}
			for n := c.have; n < c.of; n++ {
				from.publish(t, by, n)
			}
			before := holds(t, to)
			p, err := sync.Preview(t.Context(), to, from)
			if err != nil {
				t.Fatal(err)
			}
			var coming []uint64
			for _, g := range p.ToFetch {
				coming = append(coming, g.Generation)
			}
			equal(t, "coming", coming, c.coming)
			equal(t, "held", holds(t, to), before)
			r, err := sync.Pull(t.Context(), to, from)
			if err != nil {
				t.Fatal(err)
			}
			if p.Root != r.Root || p.Generation != r.Generation || p.UpToDate != r.UpToDate ||
				p.Lines != c.of-c.have || p.Publisher != r.Publisher || p.Basis != r.Basis ||
				p.Unanchored != r.Unanchored {
				t.Errorf("preview %+v, report %+v", p, r)
			}
			if len(p.ToFetch) != len(r.Installed) {
				t.Errorf("%d generations announced, %d installed", len(p.ToFetch), len(r.Installed))
			}
		})
	}
}

// Preview fails where Pull would, and stores nothing.
func TestPreviewRefuses(t *testing.T) {
	from, by := store(t, auth.StoreID{}, 1)
	to := from.empty()
	if _, err := remote.Clone(t.Context(), to, from, remote.Trust{KeyHashID: true}); err != nil {
		t.Fatal(err)
	}
	from.publish(t, by, 1)
	for _, root := range []merkle.Hash{from.line(t, 0).Root, from.line(t, 1).Root} {
		stone, err := auth.SignTombstone(t.Context(),
			auth.Tombstone{Store: from.ID(), Root: root, NotAfter: 1}, by)
		if err != nil {
			t.Fatal(err)
		}
		if err := from.Revoke(t.Context(), stone); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := new(remote.Sync).Preview(t.Context(), to, from); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("a head that is revoked: %v", err)
	}
	if stones, err := to.Tombstones(t.Context(), to.ID()); err != nil || len(stones) != 0 {
		t.Errorf("%d tombstones kept, %v", len(stones), err)
	}
	other := remotetest.NewMemory(from.ID(), nil)
	if _, err := new(remote.Sync).Preview(t.Context(), other,
		from); !errors.Is(err, remote.ErrUntrusted) {
		t.Errorf("without a reason to believe: %v", err)
	}
}

// Size and Transfer are those of the pull that follows.
func TestPreviewSizes(t *testing.T) {
	s := newSite(t, 2, nil)
	c := s.client(s.listen(), nil)
	to := remotetest.NewMemory(s.id, nil)
	sync := &remote.Sync{Trust: remote.Trust{KeyHashID: true, AllowUnsignedHistory: true},
		AllGenerations: true}
	p, err := sync.Preview(t.Context(), to, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range p.ToFetch {
		if size := int64(len(s.modules[g.Generation])); g.Size != size ||
			g.Transfer > size || g.Transfer <= 0 {
			t.Errorf("generation %d: %d bytes, %d to transfer; the module has %d", g.Generation,
				g.Size, g.Transfer, size)
		}
	}
	r, err := sync.Clone(t.Context(), to, c)
	if err != nil {
		t.Fatal(err)
	}
	if p.ToFetch[0].Transfer != p.ToFetch[0].Size || r.Bytes > p.ToFetch[0].Size+p.ToFetch[1].Size {
		t.Errorf("%+v, and then %d bytes came", p.ToFetch, r.Bytes)
	}
}
