package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// foresee makes those checks of a head that need no module, so that nothing is downloaded from an origin
// that cannot pass: signature, tombstones, key. The module must then carry the key that they were made with.
func (v *visit) foresee(ctx context.Context, d *Descriptor, t *target) error {
	signed, err := d.SignedRoot(v.store, d.PublicKey)
	if err != nil {
		return &VerificationError{Check: CheckSignature, Err: err}
	}
	t.signed = signed
	return v.believe(ctx, t, d.PublicKey)
}

// believe decides on a key: is it the publisher's, and did it revoke what is to be installed?
func (v *visit) believe(ctx context.Context, t *target, key auth.PublicKey) (err error) {
	j := judgement{store: v.store, held: v.pins.Publisher, known: v.known, anchored: t.anchored, signed: t.head}
	if t.basis, t.changed, err = v.Trust.judge(j, key); err != nil {
		return err
	}
	t.key = key
	if err := v.take(ctx, t.stones, key); err != nil {
		return err
	}
	if err := v.revoked(t.line().Root); err != nil {
		// The key is believed, so its word is kept although nothing is installed.
		return errors.Join(err, v.keep(ctx))
	}
	return nil
}

// fetch installs the target.
func (v *visit) fetch(ctx context.Context, t *target) error {
	err := v.install(ctx, t.lines, t.signed, t.size, func(m *module.Module) error {
		if err := v.checkModule(ctx, m, t.line().Root, t.size); err != nil {
			return err
		}
		if !t.head {
			return v.believe(ctx, t, m.PublicKey())
		}
		if m.PublicKey() != t.signed.PublicKey {
			return &VerificationError{Check: CheckSignature, Want: "a head signed by the module's key " + m.PublicKey().String(),
				Got: "one signed by " + t.signed.PublicKey.String()}
		}
		return nil
	})
	var open *openError
	var tag *VerificationError
	if t.head && errors.As(err, &open) && (errors.Is(err, fs.ErrNotExist) || errors.As(err, &tag) && tag.Check == CheckETag) {
		return &movedError{open.err}
	}
	if err == nil {
		v.passed(CheckETag, CheckFormat, CheckStore, CheckRoot)
		if t.size > 0 {
			v.passed(CheckSize)
		}
		v.passed(CheckContent, CheckChainState)
		if t.head {
			v.passed(CheckSignature)
		}
		v.passed(CheckTombstone, CheckPublisher, CheckTrust)
	}
	return err
}

// checkModule makes the checks that every module must pass, whatever vouches for it.
func (v *visit) checkModule(ctx context.Context, m *module.Module, root merkle.Hash, size int64) error {
	if id := m.ID(); id.Store != v.store {
		return &VerificationError{Check: CheckStore, Want: v.store.String(), Got: id.Store.String()}
	} else if id.Root != root {
		return &VerificationError{Check: CheckRoot, Want: root.String(), Got: id.Root.String()}
	}
	if size > 0 && m.Size() != size {
		return &VerificationError{Check: CheckSize, Want: strconv.FormatInt(size, 10), Got: strconv.FormatInt(m.Size(), 10)}
	}
	if err := m.Verify(ctx); err != nil {
		return contentError(err)
	}
	return v.checkChainState(m)
}

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

// older fetches the generations of the history that are not held, when all are wanted.
func (v *visit) older(ctx context.Context) error {
	if !v.AllGenerations {
		return nil
	}
	for _, g := range v.local {
		r, err := v.to.Module(ctx, g.Root)
		if err == nil {
			r.Close()
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remote: look for local generation %s: %w", g.Root, err)
		}
		if err := v.fetchOlder(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// fetchOlder installs one older generation. That the origin does not have it, or nobody vouches for it, is
// noted in the report; that it is not what it claims to be is an error.
func (v *visit) fetchOlder(ctx context.Context, g module.Generation) error {
	missing := func(err error) error {
		v.report.Missing = append(v.report.Missing, Missing{g, err})
		return nil
	}
	_, confirmed := v.lineage[g.Root]
	if !confirmed && !v.Trust.AllowUnsignedHistory {
		return missing(&VerificationError{Check: CheckLineage, Want: g.Root.String() + " in the lineage", Got: "it is not"})
	}
	if err := v.revoked(g.Root); err != nil {
		return missing(err)
	}
	signed := auth.SignedRoot{Store: v.store, Root: g.Root}
	err := v.install(ctx, []module.Generation{g}, signed, 0, func(m *module.Module) error {
		if err := v.checkModule(ctx, m, g.Root, 0); err != nil {
			return err
		}
		if key := m.PublicKey(); !confirmed && key != v.pins.Publisher {
			return &VerificationError{Check: CheckPublisher, Want: v.pins.Publisher.String(), Got: key.String(), Err: ErrKeyChanged}
		}
		return nil
	})
	var open *openError
	var tag *VerificationError
	if errors.As(err, &open) && (errors.Is(err, fs.ErrNotExist) || errors.As(err, &tag) && tag.Check == CheckETag) {
		return missing(open.err)
	}
	return err
}

// checkChainState holds the coin that a module may embed to the store (remote-protocol 7.1 step 8).
func (v *visit) checkChainState(m *module.Module) error {
	c, err := m.ChainState()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return contentError(err)
	}
	if auth.StoreID(c.LauncherID) != v.store {
		return &VerificationError{Check: CheckChainState, Want: v.store.String(), Got: c.LauncherID.String()}
	}
	return nil
}
