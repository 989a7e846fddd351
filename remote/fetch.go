package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// checkHead makes those checks of a head that need no module, so that nothing is downloaded from an
// origin that cannot pass: signature, tombstones, key. The module must then carry the key that they
// were made with.
func (v *syncRun) checkHead(ctx context.Context, s *snapshot) error {
	if s.descriptor.PushSig.IsZero() && s.descriptor.Untagged.IsZero() && s.target.anchored {
		if s.descriptor.PublicKey.IsZero() { // only the module says
			return nil
		}
		return v.checkKey(ctx, s.target, s.descriptor.PublicKey)
	}
	signed, err := s.descriptor.SignedRoot(v.store, s.descriptor.PublicKey)
	if err != nil {
		return &VerificationError{Check: CheckSignature, Err: err}
	}
	s.target.signed = signed
	return v.checkKey(ctx, s.target, s.descriptor.PublicKey)
}

// checkKey decides on a key: is it the publisher's, and did it revoke what is to be installed?
func (v *syncRun) checkKey(ctx context.Context, t *target, key auth.PublicKey) (err error) {
	j := keyFacts{store: v.store, held: v.pins.Publisher, known: v.known, anchored: t.anchored,
		signed: !t.unsigned()}
	if t.basis, t.changed, err = v.Trust.checkKey(j, key, t.passed); err != nil {
		return err
	}
	t.key = key
	if v.keyConfirmed(t) {
		if err := v.addTombstones(ctx, t.shown, key, t.line().Root, t.origin, v.head.Root); err != nil {
			return err
		}
	}
	if err := v.revokedUnder(key, t.line().Root, t.passed); err != nil {
		// Where the key is believed its word is kept although nothing is installed, and the key with it:
		// a store that holds nothing yet would not know whose word it is. First use cannot choose among
		// several origins.
		if v.keyConfirmed(t) && (v.several == nil || t.basis != ByFirstUse) {
			v.acceptClaims(key)
			err = errors.Join(err, v.pinKey(ctx, key))
		}
		return errors.Join(err, v.keepTombstones(ctx))
	}
	return nil
}

// keyConfirmed reports whether the target's key is the publisher's by more than the module that it
// came with: it signed the root, or is held or given. The key lies outside of the root, so that an
// anchor does not vouch for it.
func (v *syncRun) keyConfirmed(t *target) bool {
	return !t.unsigned() || t.key == v.pins.Publisher || t.key == v.known || t.key == v.Trust.Publisher
}

// pinKey keeps the publisher's key where none is held yet.
func (v *syncRun) pinKey(ctx context.Context, key auth.PublicKey) error {
	p, ok := v.to.(TrustStore)
	if !ok || !v.pins.Publisher.IsZero() {
		return nil
	}
	if err := p.Pin(ctx, module.Pins{Publisher: key}); err != nil {
		return fmt.Errorf("remote: keep pins: %w", err)
	}
	return nil
}

// fetch installs the target.
func (v *syncRun) fetch(ctx context.Context, d *downloader, t *target) error {
	before := slices.Clone(t.checks)
	check := func(m *module.Module) error {
		t.checks = slices.Clone(before) // of another attempt's module they say nothing
		if err := v.checkModule(ctx, m, t.line().Root, t.size, t.passed); err != nil {
			return err
		}
		if t.unsigned() {
			return v.checkKey(ctx, t, m.PublicKey())
		}
		if m.PublicKey() != t.signed.PublicKey {
			return &VerificationError{Check: CheckSignature,
				Want: "a head signed by the module's key " + m.PublicKey().String(),
				Got:  "one signed by " + t.signed.PublicKey.String()}
		}
		t.passed(CheckSignature, "key "+t.signed.PublicKey.String()+" over root "+t.line().Root.String())
		return nil
	}
	came, err := d.install(ctx, delivery{lines: t.lines, head: t.signed, size: t.size, check: check})
	if open, gone := notServed(err); t.head && gone {
		return &movedError{open}
	}
	if err != nil {
		return err
	}
	v.installed(t.line(), came)
	v.acceptClaims(t.key)
	came.passed(t)
	v.report.Checks = append(v.report.Checks, t.inOrder()...)
	return nil
}

// installed notes a generation that was installed.
func (v *syncRun) installed(g module.Generation, came arrival) {
	v.report.Installed = append(v.report.Installed, g)
	v.report.Bytes += came.bytes
}

// passed notes the checks that are made while a module, or its recipe, is read.
func (came arrival) passed(t *target) {
	root := t.line().Root.String()
	switch {
	case came.held:
	case came.recipe:
		t.passed(CheckRecipe, "root "+root+", and the ids of its chunks")
	default:
		t.passed(CheckETag, "the root asked for, "+root)
		t.passed(CheckFormat, "the layout of a module, to its last byte")
	}
	if came.parts {
		t.passed(CheckRange, "the ranges asked for, of root "+root)
	}
}

// A passedFunc notes a check that was made and passed.
type passedFunc func(c Check, against string)

// passed notes a check of the target, in place of an earlier one of the same name.
func (t *target) passed(c Check, against string) {
	t.checks = slices.DeleteFunc(t.checks, func(p PassedCheck) bool { return p.Check == c })
	t.checks = append(t.checks, PassedCheck{c, against})
}

// installOrder is the order in which a report lists the checks of what was installed.
var installOrder = []Check{CheckRecipe, CheckETag, CheckFormat, CheckRange, CheckStore, CheckRoot,
	CheckSize, CheckContent,
	CheckChainState, CheckSignature, CheckTombstone, CheckPublisher, CheckTrust}

// inOrder are the checks that the target passed.
func (t *target) inOrder() []PassedCheck {
	var sorted []PassedCheck
	for _, c := range installOrder {
		if i := slices.IndexFunc(t.checks, func(p PassedCheck) bool { return p.Check == c }); i >= 0 {
			sorted = append(sorted, t.checks[i])
		}
	}
	return sorted
}

// checkModule makes the checks that every module must pass, whatever vouches for it.
func (v *syncRun) checkModule(ctx context.Context, m *module.Module, root merkle.Hash, size int64,
	passed passedFunc) error {
	id := m.ID()
	if id.Store != v.store {
		return &VerificationError{Check: CheckStore, Want: v.store.String(), Got: id.Store.String()}
	}
	passed(CheckStore, "store "+v.store.String())
	if id.Root != root {
		return &VerificationError{Check: CheckRoot, Want: root.String(), Got: id.Root.String()}
	}
	passed(CheckRoot, "root "+root.String())
	if size > 0 {
		want := strconv.FormatInt(size, 10)
		if m.Size() != size {
			return &VerificationError{Check: CheckSize, Want: want, Got: strconv.FormatInt(m.Size(), 10)}
		}
		passed(CheckSize, want+" bytes, as described")
	}
	if err := m.Verify(ctx); err != nil {
		return contentError(err)
	}
	passed(CheckContent, "its own chunks, leaves and root "+root.String())
	if err := v.checkChainState(m); err != nil {
		return err
	}
	passed(CheckChainState, "store "+v.store.String()+", where it names a coin")
	return nil
}

// ignorePassed is for checks that no report lists.
func ignorePassed(Check, string) {}

// contentError names the check that an error of package module belongs to.
func contentError(err error) error {
	var done *VerificationError
	switch {
	case errors.As(err, &done):
		return err
	case errors.Is(err, module.ErrFormat):
		return &VerificationError{Check: CheckFormat, Err: err}
	case errors.Is(err, module.ErrVerify):
		return &VerificationError{Check: CheckContent, Err: err}
	}
	return err
}

// checkChainState holds the coin that a module may embed to the store (remote/PROTOCOL.md 9.5).
func (v *syncRun) checkChainState(m *module.Module) error {
	c, err := m.ChainState()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return contentError(err)
	}
	if auth.StoreID(c.LauncherID) != v.store {
		return &VerificationError{Check: CheckChainState, Want: v.store.String(),
			Got: c.LauncherID.String()}
	}
	return nil
}
