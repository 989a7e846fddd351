package remote_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// launcher is a store ID that is not the hash of a key.
var launcher = auth.StoreID{0xfe, 1}

func TestCloneOverHTTP(t *testing.T) {
	s := newSite(t, 3, nil)
	l := s.listen()
	to := (&direct{Memory: s.memory}).empty()
	var done, total int64
	sync := remote.Sync{Trust: remote.Trust{FirstUse: true},
		Progress: func(_ merkle.Hash, d, n int64) { done, total = d, n }}
	report, err := sync.Clone(t.Context(), to, s.client(l, nil))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "requests", l.requests(), []string{"GET", "GET /roots", "GET /module"})
	head, err := to.Head(t.Context())
	if err != nil || head != s.head() {
		t.Errorf("head %+v, %v, want %+v", head, err, s.head())
	}
	sameModule(t, s.memory, to, head.Root)
	equal(t, "held", holds(t, to), []bool{false, false, true})
	if report.Root != head.Root || report.Generation != 2 || report.Basis != remote.ByKeyHash ||
		!report.KeyProven ||
		!report.Unanchored || report.HistoryConfirmed || len(report.Installed) != 1 ||
		report.Publisher != s.publisher.PublicKey() {
		t.Errorf("report %+v", report)
	}
	equal(t, "checks", passed(report),
		[]remote.Check{remote.CheckDescriptor, remote.CheckHistory, remote.CheckETag, remote.CheckFormat,
			remote.CheckStore, remote.CheckRoot, remote.CheckSize, remote.CheckContent, remote.CheckChainState, remote.CheckSignature,
			remote.CheckTombstone, remote.CheckPublisher, remote.CheckTrust})
	if n := int64(len(s.modules[2])); done != n || total != n || report.Bytes != n {
		t.Errorf("progress %d of %d, report %d, want %d", done, total, report.Bytes, n)
	}
	pins, err := to.Pins(t.Context())
	if want := (module.Pins{Publisher: s.publisher.PublicKey(), Root: head.Root,
		Generation: 2}); err != nil || pins != want {
		t.Errorf("pins %+v, %v", pins, err)
	}

	// A clone can be served.
	again := (&direct{Memory: to}).empty()
	if _, err := remote.Clone(t.Context(), again, &direct{Memory: to},
		remote.Trust{Publisher: s.publisher.PublicKey()}); err != nil {
		t.Error(err)
	}
	if _, err := remote.Clone(t.Context(), to, s.client(l, nil),
		remote.Trust{FirstUse: true}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("clone into what is there: %v, want fs.ErrExist", err)
	}
}

// passed returns the names of the passed checks in a report. Each must have Against.
func passed(r *remote.Report) (names []remote.Check) {
	for _, p := range r.Checks {
		if p.Against != "" {
			names = append(names, p.Check)
		}
	}
	return names
}

// TestCloneTrust checks which Trust accepts an origin, for IDs that are the hash of the key and
// for others.
func TestCloneTrust(t *testing.T) {
	origin, by := store(t, launcher, 3)
	pub, other := by.PublicKey(), key(9).PublicKey()
	root := func(n int) merkle.Hash { return origin.line(t, n).Root }
	for _, c := range []struct {
		name   string
		trust  remote.Trust
		check  remote.Check // that fails; "": none
		err    error        // a further error to match
		basis  remote.Basis
		number uint64
		newer  bool
	}{
		{name: "nothing", check: remote.CheckTrust, err: remote.ErrUntrusted},
		{name: "publisher", trust: remote.Trust{Publisher: pub}, basis: remote.ByPublisher, number: 2},
		{name: "another publisher", trust: remote.Trust{Publisher: other, FirstUse: true}, check: remote.CheckPublisher, err: remote.ErrKeyChanged},
		{name: "root", trust: remote.Trust{Root: root(2)}, basis: remote.ByRoot, number: 2},
		{name: "older root", trust: remote.Trust{Root: root(1)}, basis: remote.ByRoot, number: 1, newer: true},
		{name: "unknown root", trust: remote.Trust{Root: merkle.Hash{1}}, check: remote.CheckAnchor},
		{name: "anchor", trust: remote.Trust{Anchor: plain{root(2)}}, basis: remote.ByAnchor, number: 2},
		{name: "anchor behind the head", trust: remote.Trust{Anchor: plain{root(0)}}, basis: remote.ByAnchor, number: 0, newer: true},
		{name: "anchor ahead of the origin", trust: remote.Trust{Anchor: plain{merkle.Hash{1}}}, check: remote.CheckAnchor},
		{name: "anchor out of reach", trust: remote.Trust{Anchor: &anchor{err: errors.New("down")}}, check: remote.CheckAnchor},
		{name: "anchor without the store", trust: remote.Trust{Anchor: plain{}}, check: remote.CheckAnchor},
		{name: "anchor and root disagree", trust: remote.Trust{Anchor: plain{root(2)}, Root: root(1)}, check: remote.CheckAnchor},
		{name: "anchor, but another publisher", trust: remote.Trust{Anchor: plain{root(2)}, Publisher: other}, check: remote.CheckPublisher, err: remote.ErrKeyChanged},
		{name: "key hash", trust: remote.Trust{KeyHashID: true}, check: remote.CheckTrust, err: remote.ErrUntrusted},
		{name: "first use", trust: remote.Trust{FirstUse: true}, basis: remote.ByFirstUse, number: 2},
		{name: "first use again", trust: remote.Trust{FirstUse: true, Known: knownStores{launcher: pub}}, basis: remote.ByKnown, number: 2},
		{name: "first use of another key", trust: remote.Trust{FirstUse: true, Known: knownStores{launcher: other}}, check: remote.CheckPublisher, err: remote.ErrKeyChanged},
		{name: "root, but another key is known", trust: remote.Trust{Root: root(2), Known: knownStores{launcher: other}}, check: remote.CheckPublisher, err: remote.ErrKeyChanged},
		{name: "older root, but another key is known", trust: remote.Trust{Anchor: plain{root(1)}, Known: knownStores{launcher: other}}, check: remote.CheckPublisher, err: remote.ErrKeyChanged},
		{name: "anchor, and another key is known", trust: remote.Trust{Anchor: plain{root(2)}, Known: knownStores{launcher: other}}, basis: remote.ByAnchor, number: 2},
		{name: "publisher, and another key is known", trust: remote.Trust{Publisher: pub, Known: knownStores{launcher: other}}, basis: remote.ByPublisher, number: 2},
		{name: "which is accepted", trust: remote.Trust{FirstUse: true, AcceptKey: pub, Known: knownStores{launcher: other}}, basis: remote.ByAcceptKey, number: 2},
		{name: "another is accepted", trust: remote.Trust{AcceptKey: other}, check: remote.CheckTrust, err: remote.ErrUntrusted},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := origin.empty()
			report, err := remote.Clone(t.Context(), to, origin, c.trust)
			if c.check != "" {
				refused(t, err, c.check, c.err)
				untouched(t, to)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if report.Basis != c.basis || report.Generation != c.number ||
				report.NewerHead.IsZero() == c.newer || report.KeyProven ||
				report.Unanchored != (c.trust.Anchor == nil && c.trust.Root.IsZero()) {
				t.Errorf("report %+v", report)
			}
			if known, ok := c.trust.Known.(knownStores); ok && known[launcher] != pub {
				t.Errorf("known store has key %v, want %v", known[launcher], pub)
			}
			sameModule(t, origin.Memory, to, root(int(c.number)))
		})
	}

	t.Run("key hash of a proven id", func(t *testing.T) {
		origin, _ := store(t, auth.StoreID{}, 1)
		report, err := remote.Clone(t.Context(), origin.empty(), origin, remote.Trust{KeyHashID: true})
		if err != nil || report.Basis != remote.ByKeyHash || !report.KeyProven || !report.Unanchored {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("nothing, of a proven id", func(t *testing.T) {
		origin, _ := store(t, auth.StoreID{}, 1)
		_, err := remote.Clone(t.Context(), origin.empty(), origin, remote.Trust{})
		refused(t, err, remote.CheckTrust, remote.ErrUntrusted)
		equal(t, "asked", origin.asked, nil)
	})
}

// refused checks that err is of one check and, unless sentinel is nil, matches it.
func refused(t testing.TB, err error, check remote.Check, also error) {
	t.Helper()
	var v *remote.VerificationError
	if !errors.As(err, &v) || !errors.Is(err, remote.ErrVerification) {
		t.Fatalf("got %v, want a refusal by check %s", err, check)
	}
	if v.Check != check || also != nil && !errors.Is(err, also) {
		t.Fatalf("got check %s (%v), want %s and %v", v.Check, err, check, also)
	}
}

// TestCloneHistory checks that the order of lines counts, that numbers are not trusted, and that
// roots may repeat.
func TestCloneHistory(t *testing.T) {
	type lines = []module.Generation
	line := func(g module.Generation, number uint64) module.Generation { g.Number = number; return g }
	for _, c := range []struct {
		name  string
		roots func(lines) lines
		want  []int // the generations of the kept lines; nil: refused
	}{
		{"empty", func(lines) lines { return nil }, nil},
		{"head missing", func(l lines) lines { return l[:2] }, nil},
		{"zero", func(l lines) lines { l[0].Root = merkle.Hash{}; return l }, nil},
		{"a time before 1970", func(l lines) lines { l[1].Time = time.Unix(-1, 0); return l }, nil},
		{"a time after 9999", func(l lines) lines { l[1].Time = time.Unix(1<<62, 0); return l }, nil},
		{"the last second", func(l lines) lines { l[1].Time = time.Unix(253402300799, 0); return l }, []int{0, 1, 2}},
		{"falling numbers", func(l lines) lines { l[1].Number = 7; return l }, nil},
		{"a number falls by one", func(l lines) lines { l[2].Number = 0; return l }, nil},
		{"from 1", func(l lines) lines { return l[1:] }, []int{1, 2}},
		{"gap", func(l lines) lines { return append(l[:1:1], l[2]) }, []int{0, 2}},
		{"one number", func(l lines) lines { l[1].Number = 0; return l }, []int{0, 1, 2}},
		{"head twice", func(l lines) lines { l[0].Root = l[2].Root; return l }, []int{2, 1, 2}},
		{"a root twice", func(l lines) lines { return lines{l[0], l[1], line(l[0], 2), line(l[2], 3)} }, []int{0, 1, 0, 2}},
		{"lines pushed twice", func(l lines) lines { return lines{l[0], line(l[0], 1), line(l[1], 2), line(l[2], 5), line(l[2], 6)} }, []int{0, 1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin, by := store(t, launcher, 3)
			origin.roots = c.roots
			to := origin.empty()
			s := remote.Sync{Trust: remote.Trust{Publisher: by.PublicKey(), AllowUnsignedHistory: true},
				AllGenerations: true}
			report, err := s.Clone(t.Context(), to, origin)
			if c.want == nil {
				refused(t, err, remote.CheckHistory, nil)
				untouched(t, to)
				return
			}
			if err != nil || report.Root != origin.line(t, 2).Root ||
				report.Generation != uint64(len(c.want)-1) {
				t.Fatalf("%+v, %v", report, err)
			}
			var got, want []module.Generation
			if got, err = to.Generations(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i, n := range c.want {
				want = append(want, module.Generation{Number: uint64(i), Root: origin.line(t, n).Root})
				got[i].Time = want[i].Time
			}
			equal(t, "lines", got, want)
			equal(t, "held", holds(t, to), slices.Repeat([]bool{true}, len(want)))
			if report, err = s.Pull(t.Context(), to, origin); err != nil || !report.UpToDate {
				t.Errorf("again: %+v, %v", report, err)
			}
		})
	}
}

// TestCloneLimit checks that a module above the limit is refused, with and without an announced
// size.
func TestCloneLimit(t *testing.T) {
	for _, said := range []bool{true, false} {
		origin, by := store(t, launcher, 1)
		if !said {
			origin.describe = func(d *remote.Descriptor) { d.Size = 0 }
			origin.open = func(_ merkle.Hash, r io.ReadCloser) (io.ReadCloser, error) {
				return io.NopCloser(struct{ io.Reader }{r}), nil
			}
		}
		to := origin.empty()
		sync := remote.Sync{Trust: remote.Trust{Publisher: by.PublicKey()}, MaxModule: 1000}
		if _, err := sync.Clone(t.Context(), to, origin); !errors.Is(err, remote.ErrTooLarge) ||
			!strings.Contains(err.Error(), "the limit of this client is 1000 (Sync.MaxModule)") {
			t.Errorf("said %v: %v", said, err)
		}
		untouched(t, to)
	}
}

func TestCloneAllGenerations(t *testing.T) {
	origin, by := store(t, launcher, 3)
	pub := by.PublicKey()
	all := []merkle.Hash{origin.line(t, 0).Root, origin.line(t, 1).Root, origin.line(t, 2).Root}
	for _, c := range []struct {
		name      string
		trust     remote.Trust
		held      []bool
		confirmed bool
		err       error
	}{
		{name: "nobody vouches", trust: remote.Trust{Publisher: pub}, err: remote.ErrUntrusted},
		{name: "unsigned allowed", trust: remote.Trust{Publisher: pub, AllowUnsignedHistory: true}, held: []bool{true, true, true}},
		{name: "lineage", trust: remote.Trust{Anchor: &anchor{root: all[2], lineage: all}}, held: []bool{true, true, true}, confirmed: true},
		{name: "lineage of some", trust: remote.Trust{Anchor: &anchor{root: all[2], lineage: all[1:]}}, held: []bool{false, true, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := origin.empty()
			report, err := (&remote.Sync{Trust: c.trust, AllGenerations: true}).Clone(t.Context(), to,
				origin)
			if !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			equal(t, "held", holds(t, to), c.held)
			if err != nil {
				return
			}
			missing := 0
			for _, held := range c.held {
				if !held {
					missing++
				}
			}
			if report.HistoryConfirmed != c.confirmed || len(report.Missing) != missing ||
				len(report.Installed) != 3-missing {
				t.Errorf("report %+v", report)
			}
		})
	}
}

// TestModuleAlone checks the properties that a module must have whatever its origin says.
func TestModuleAlone(t *testing.T) {
	build := func(t *testing.T, id auth.StoreID, by *auth.Key, n int) []byte {
		t.Helper()
		mod, _, err := remotetest.Module(t.Context(), id, by, files(n),
			&module.Options{TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		return mod
	}
	by := key(0x2a)
	for _, c := range []struct {
		name  string
		body  func(t *testing.T, good []byte) []byte
		check remote.Check
		err   error
	}{
		{"of another store", func(t *testing.T, _ []byte) []byte { return build(t, auth.StoreID{4}, by, 0) }, remote.CheckStore, nil},
		{"of another root", func(t *testing.T, _ []byte) []byte { return build(t, launcher, by, 5) }, remote.CheckRoot, nil},
		{"of another key", func(t *testing.T, _ []byte) []byte { return build(t, launcher, key(3), 0) }, remote.CheckSignature, nil},
		{"not a module", func(_ *testing.T, good []byte) []byte { return make([]byte, len(good)) }, remote.CheckFormat, module.ErrFormat},
		{"longer than said", func(_ *testing.T, good []byte) []byte { return append(good, 0) }, remote.CheckSize, nil},
		{"changed in a chunk", func(t *testing.T, good []byte) []byte {
			b := bytes.Clone(good)
			b[bytes.Index(b, firstChunk(t, good))] ^= 1
			return b
		}, remote.CheckContent, module.ErrVerify},
	} {
		t.Run(c.name, func(t *testing.T) {
			origin, by := store(t, launcher, 1)
			origin.open = func(_ merkle.Hash, r io.ReadCloser) (io.ReadCloser, error) {
				good, err := io.ReadAll(r)
				if err != nil {
					return nil, err
				}
				return io.NopCloser(bytes.NewReader(c.body(t, good))), nil
			}
			if c.check != remote.CheckSize {
				origin.describe = func(d *remote.Descriptor) { d.Size = 0 } // other checks must fail first
			}
			to := origin.empty()
			_, err := remote.Clone(t.Context(), to, origin, remote.Trust{Publisher: by.PublicKey()})
			refused(t, err, c.check, c.err)
			untouched(t, to)
		})
	}
}

// firstChunk returns the sealed bytes of a module's first resource.
func firstChunk(t *testing.T, mod []byte) []byte {
	t.Helper()
	m, err := module.Open(bytes.NewReader(mod), int64(len(mod)))
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range m.Resources() {
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := io.ReadAll(r.Sealed())
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	t.Fatal("the module has no resource")
	return nil
}
