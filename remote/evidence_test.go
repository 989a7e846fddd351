package remote_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// branches are a cloned store of two generations, and another store that diverges after the first.
func branches(t *testing.T) (to *remotetest.Memory, other *direct, by *auth.Key) {
	t.Helper()
	origin, by, to := cloned(t, launcher, 2)
	other = &direct{Memory: origin.empty()}
	other.publish(t, by, 0)
	other.publish(t, by, 7)
	other.publish(t, by, 8)
	return to, other, by
}

// TestEvidence checks that evidence against an origin's head is stored once and named in the
// error.
func TestEvidence(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name   string
		check  remote.Check
		err    error
		lie    func(t *testing.T) (*remotetest.Memory, *direct)
		proves bool // one key signed both heads
	}{
		{"fork", remote.CheckFork, remote.ErrForked, func(t *testing.T) (*remotetest.Memory, *direct) {
			to, other, _ := branches(t)
			return to, other
		}, true},
		{"fork by another key", remote.CheckAncestry, remote.ErrDiverged, func(t *testing.T) (*remotetest.Memory, *direct) {
			_, _, to := cloned(t, launcher, 2)
			other := &direct{Memory: to}
			other = &direct{Memory: other.empty()}
			other.publish(t, key(9), 5)
			return to, other
		}, false},
		{"rollback", remote.CheckRollback, remote.ErrRollback, func(t *testing.T) (*remotetest.Memory, *direct) {
			origin, by, to := cloned(t, launcher, 2)
			older := &direct{Memory: origin.empty()}
			older.publish(t, by, 0)
			return to, older
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			to, origin := c.lie(t)
			held, err := to.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			offered, err := origin.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var docs [][]byte
			for n := range 2 {
				sync := remote.Sync{Now: func() time.Time { return now.Add(time.Duration(n) * time.Hour) }}
				report, err := sync.Pull(t.Context(), to, origin)
				refused(t, err, c.check, c.err)
				if docs, err = to.Evidence(t.Context()); err != nil || len(docs) != 1 {
					t.Fatalf("%d documents, %v: want 1", len(docs), err)
				}
				if len(report.Evidence) != 1 || len(report.RefusedOrigins()) != 1 ||
					report.Origins[0].Check != c.check || report.Origins[0].Evidence == "" {
					t.Errorf("report %+v", report)
				}
			}
			e, err := remote.ParseEvidence(docs[0])
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != c.check || !e.Found.Equal(now) || e.Held.Root != held.Root || e.Held.By != "here" ||
				e.Offered.Root != offered.Root ||
				e.Offered.Descriptor == nil || len(e.Held.Last) != 2 || (e.Check() == nil) != c.proves {
				t.Errorf("%s\n%v", docs[0], e.Check())
			}
			equal(t, "held", holds(t, to), []bool{false, true})
		})
	}
	t.Run("forged", func(t *testing.T) {
		to, other, _ := branches(t)
		report, _ := remote.Pull(t.Context(), to, other, remote.Trust{})
		e := report.Evidence[0]
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		for what, forge := range map[string]func(*remote.Evidence){
			"the same head": func(e *remote.Evidence) { e.Offered = e.Held },
			"another root":  func(e *remote.Evidence) { e.Offered.Root[0] ^= 1 },
			"another key":   func(e *remote.Evidence) { e.Offered.PublicKey = key(9).PublicKey() },
			"two keys":      func(e *remote.Evidence) { e.Offered = signedBy(t, e.Store, e.Offered, key(9)) },
			"no signature":  func(e *remote.Evidence) { e.Held.Tagged, e.Held.Untagged = nil, nil },
			"another store": func(e *remote.Evidence) { e.Store[0] ^= 1 },
		} {
			f := e
			if forge(&f); f.Check() == nil {
				t.Errorf("%s: it proves something", what)
			}
		}
	})
}

// signedBy returns a claim with signatures of another key.
func signedBy(t *testing.T, id auth.StoreID, c remote.Claim, k *auth.Key) remote.Claim {
	t.Helper()
	signed, err := auth.SignRoot(t.Context(), id, c.Root, k)
	if err != nil {
		t.Fatal(err)
	}
	c.PublicKey, c.Tagged, c.Untagged = signed.PublicKey, &signed.Tagged, &signed.Untagged
	return c
}

// TestAcceptHead checks that Trust.AcceptHead accepts a fork, and that the local history stays.
func TestAcceptHead(t *testing.T) {
	to, other, _ := branches(t)
	theirs := other.line(t, 2).Root
	_, err := remote.Pull(t.Context(), to, other, remote.Trust{AcceptHead: merkle.Hash{1}})
	refused(t, err, remote.CheckFork, remote.ErrForked)
	report, err := remote.Pull(t.Context(), to, other, remote.Trust{AcceptHead: theirs})
	if err != nil || !report.Diverged || report.Root != theirs || report.Generation != 3 {
		t.Fatalf("%+v, %v", report, err)
	}
	// The first generation is in both histories, so that two lines of the fork follow the two local
	// ones.
	lines, err := to.Generations(t.Context())
	if err != nil || len(lines) != 4 || lines[2].Root != other.line(t, 1).Root ||
		lines[3].Root != theirs {
		t.Errorf("%v, %v", lines, err)
	}
	sameModule(t, other.Memory, to, theirs)
	if report, err := remote.Pull(t.Context(), to, other, remote.Trust{}); err != nil ||
		!report.UpToDate || report.Diverged {
		t.Errorf("%+v, %v", report, err)
	}
	// AcceptHead does not accept another key, nor a head that was held before.
	stranger := &direct{Memory: other.empty()}
	head := stranger.publish(t, key(9), 3)
	_, err = remote.Pull(t.Context(), to, stranger, remote.Trust{AcceptHead: head.Root})
	refused(t, err, remote.CheckPublisher, remote.ErrKeyChanged)
	older := &direct{Memory: other.empty()}
	older.publish(t, key(0x2a), 0)
	_, err = remote.Pull(t.Context(), to, older, remote.Trust{AcceptHead: older.line(t, 0).Root})
	refused(t, err, remote.CheckRollback, remote.ErrRollback)
}

// TestHeadAge checks that the report has the age of the head, which reveals a frozen origin.
func TestHeadAge(t *testing.T) {
	origin, _, to := cloned(t, launcher, 2)
	line := origin.line(t, 1)
	sync := remote.Sync{Now: func() time.Time { return line.Time.Add(72 * time.Hour) }}
	report, err := sync.Pull(t.Context(), to, origin)
	if err != nil || !report.UpToDate || !report.HeadTime.Equal(line.Time) ||
		report.HeadAge != 72*time.Hour {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestWithheld checks that an origin that does not serve a known tombstone is reported.
func TestWithheld(t *testing.T) {
	origin, by, to := cloned(t, launcher, 1)
	s, err := auth.SignTombstone(t.Context(),
		auth.Tombstone{Store: launcher, Root: merkle.Hash{5}, Reason: auth.Takedown}, by)
	if err != nil {
		t.Fatal(err)
	}
	if err := origin.Revoke(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ hidden, withheld int }{{0, 0}, {1, 1}} {
		origin.describe = func(d *remote.Descriptor) { d.Tombstones = d.Tombstones[c.hidden:] }
		report, err := remote.Pull(t.Context(), to, origin, remote.Trust{})
		if err != nil || len(report.Origins) != 1 || len(report.Origins[0].Withheld) != c.withheld {
			t.Errorf("hidden %d: %+v, %v", c.hidden, report, err)
		}
	}
}

// TestReportJSON checks that a report can be encoded, whatever the result of the sync.
func TestReportJSON(t *testing.T) {
	to, other, by := branches(t)
	for _, trust := range []remote.Trust{{}, {AcceptHead: other.line(t, 2).Root},
		{Publisher: by.PublicKey()}} {
		sync := remote.Sync{Trust: trust}
		report, _ := sync.Pull(t.Context(), to, other)
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		var back struct {
			Store   auth.StoreID         `json:"store_id"`
			Root    merkle.Hash          `json:"root"`
			Checks  []remote.PassedCheck `json:"checks"`
			Origins []struct {
				Origin, Verdict, Error, Check string
			} `json:"origins"`
			Installed []struct{ Root merkle.Hash } `json:"installed"`
			Missing   []struct{ Error string }     `json:"missing"`
		}
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if back.Store != report.Store || back.Root != report.Root ||
			len(back.Checks) != len(report.Checks) || len(back.Origins) != 1 ||
			back.Origins[0].Verdict != string(report.Origins[0].State) ||
			len(back.Installed) != len(report.Installed) {
			t.Errorf("%s", text)
		}
	}
}

// counted is a Local that records reads of its history.
type counted struct {
	*remotetest.Memory
	whole int
}

func (c *counted) Generations(ctx context.Context) ([]module.Generation, error) {
	c.whole++
	return c.Memory.Generations(ctx)
}

// TestPullReadsNoHistory checks that a pull with nothing new makes one request and reads neither
// history.
func TestPullReadsNoHistory(t *testing.T) {
	origin, by, to := cloned(t, launcher, 3)
	c := &counted{Memory: to}
	origin.asked = nil
	if report, err := remote.Pull(t.Context(), c, origin, remote.Trust{}); err != nil ||
		!report.UpToDate || report.Generation != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	equal(t, "asked", origin.asked, []string{"describe"})
	origin.publish(t, by, 3)
	if _, err := remote.Pull(t.Context(), c, origin, remote.Trust{}); err != nil {
		t.Fatal(err)
	}
	if c.whole != 0 {
		t.Errorf("the local history was read %d times", c.whole)
	}
}

// FuzzParseEvidence checks that evidence that parses can be checked and encoded again.
func FuzzParseEvidence(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"kind":"fork","held":{"last":[{"generation":1}]},"offered":{"descriptor":{"current_root":"` + string(make([]byte, 64)) + `"}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		e, err := remote.ParseEvidence(doc)
		if err != nil {
			return
		}
		_ = e.Check()
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.ParseEvidence(again); err != nil && len(again) <= remote.MaxEvidenceSize {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
