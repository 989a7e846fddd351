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

// checkHead makes the checks of a head that need no module: signature, tombstones and key. It
// avoids a download from an origin that cannot pass. fetch checks that the module has the same
// key.
func (v *syncRun) checkHead(ctx context.Context, s *snapshot) error {
	if s.descriptor.PushSig.IsZero() && s.descriptor.Untagged.IsZero() && s.target.anchored {
		if s.descriptor.PublicKey.IsZero() { // only the module has the key
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

// checkKey checks that Trust accepts key as the publisher's and that key did not revoke the target.
func (v *syncRun) checkKey(ctx context.Context, t *target, key auth.PublicKey) (err error) {
	facts := keyFacts{store: v.store, held: v.pins.Publisher, known: v.known, anchored: t.anchored,
		signed: !t.unsigned()}
	if t.basis, t.changed, err = v.Trust.checkKey(facts, key, t.passed); err != nil {
		return err
	}
	t.key = key
	if v.keyConfirmed(t) {
		if err := v.addTombstones(ctx, t.shown, key, t.line().Root, t.origin, v.head.Root); err != nil {
			return err
		}
	}
	if err := v.revokedUnder(key, t.line().Root, t.passed); err != nil {
		// If the key is confirmed, its tombstones are kept although nothing is installed. The key is
		// pinned too, because the tombstones of an empty store need a key to be checked under. First
		// use cannot choose among several origins.
		if v.keyConfirmed(t) && (v.several == nil || t.basis != ByFirstUse) {
			v.acceptClaims(key)
			err = errors.Join(err, v.pinKey(ctx, key))
		}
		return errors.Join(err, v.keepTombstones(ctx))
	}
	return nil
}

// keyConfirmed reports whether more than the module itself confirms the target's key: the key
// signed the root, or is pinned, known or Trust.Publisher. An anchor does not confirm the key,
// because the root does not cover it.
func (v *syncRun) keyConfirmed(t *target) bool {
	return !t.unsigned() || t.key == v.pins.Publisher || t.key == v.known || t.key == v.Trust.Publisher
}

// pinKey pins the publisher's key if none is pinned yet.
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
		t.checks = slices.Clone(before) // drop the checks of an earlier attempt's module
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

// installed adds an installed generation to the report.
func (v *syncRun) installed(g module.Generation, came arrival) {
	v.report.Installed = append(v.report.Installed, g)
	v.report.Bytes += came.bytes
}

// passed records the checks that are made while a module, or its recipe, is read.
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

// A passedFunc records a passed check.
type passedFunc func(c Check, against string)

// passed records a check of the target, replacing an earlier one of the same name.
func (t *target) passed(c Check, against string) {
	t.checks = slices.DeleteFunc(t.checks, func(p PassedCheck) bool { return p.Check == c })
	t.checks = append(t.checks, PassedCheck{c, against})
}

// installOrder is the order in which a report lists the checks of what was installed.
var installOrder = []Check{CheckRecipe, CheckETag, CheckFormat, CheckRange, CheckStore, CheckRoot,
	CheckSize, CheckContent,
	CheckChainState, CheckSignature, CheckTombstone, CheckPublisher, CheckTrust}

// inOrder returns the checks that the target passed, in installOrder.
func (t *target) inOrder() []PassedCheck {
	var sorted []PassedCheck
	for _, c := range installOrder {
		if i := slices.IndexFunc(t.checks, func(p PassedCheck) bool { return p.Check == c }); i >= 0 {
			sorted = append(sorted, t.checks[i])
		}
	}
	return sorted
}

// checkModule makes the checks that every module must pass, whatever Trust says.
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

// ignorePassed is the passedFunc for checks that no report lists.
func ignorePassed(Check, string) {}

// contentError returns err as a VerificationError of the check that an error of package module is
// for.
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

// checkChainState checks that a coin embedded in the module is the store's (remote/PROTOCOL.md
// 9.5).
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
