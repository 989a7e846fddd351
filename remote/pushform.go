package remote

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// PushForms stores which form each origin accepts as the first signature of a push. *digstore.Store
// implements it. Methods may be called concurrently.
type PushForms interface {
	// PushForm returns the form that origin (scheme://host[:port]) accepts, or "" if it is unknown.
	PushForm(ctx context.Context, origin string) (auth.PushForm, error)
	// KeepPushForm durably stores the form that origin accepts.
	KeepPushForm(ctx context.Context, origin string, form auth.PushForm) error
}

// keepTime is how long a push waits for [PushForms.KeepPushForm].
const keepTime = 5 * time.Second

// eitherForm calls send with the headers of every request of a push: signatures, store key, token.
// If send fails with 403 and the head has the other form of the signature, eitherForm calls send
// once more with that form first and returns its error.
func (c *Client) eitherForm(ctx context.Context, head auth.SignedRoot,
	send func(http.Header) error) error {
	form, err := c.pushForm(ctx, head)
	if err != nil {
		return err
	}
	err = send(c.pushHeader(head, form))
	if err == nil {
		c.keepPushForm(ctx, form)
	}
	if !errors.Is(err, auth.ErrForbidden) || head.Signature(form.Other()).IsZero() {
		return err
	}
	form = form.Other()
	err = send(c.pushHeader(head, form))
	var status *StatusError
	answered := err == nil || errors.As(err, &status)
	if answered && !hasStatus(err, http.StatusUnauthorized, http.StatusForbidden) {
		// the origin refused the signature in the other form, and not in this one
		c.keepPushForm(ctx, form)
	}
	return err
}

// pushHeader returns the headers of every request of a push, with the given form of the signature
// first.
func (c *Client) pushHeader(head auth.SignedRoot, form auth.PushForm) http.Header {
	h := http.Header{}
	h.Set(wire.HeaderSignature, head.Signature(form).String())
	if !head.Tagged.IsZero() {
		h.Set(wire.HeaderTagged, head.Tagged.String())
	}
	if !head.PublicKey.IsZero() {
		h.Set(wire.HeaderStoreKey, head.PublicKey.String()) // the origin may not know it
	}
	if c.opt.Bearer != "" {
		h.Set("Authorization", "Bearer "+c.opt.Bearer)
	}
	return h
}

// pushForm returns the form to send first: the one that the origin accepted last, if the head has
// it.
func (c *Client) pushForm(ctx context.Context, head auth.SignedRoot) (auth.PushForm, error) {
	c.mu.Lock()
	form := c.form
	c.mu.Unlock()
	if form == "" && c.opt.PushForms != nil {
		origin, err := c.base(ctx)
		if err != nil {
			return "", err
		}
		if form, err = c.opt.PushForms.PushForm(ctx, origin); err != nil {
			return "", err
		}
		c.mu.Lock()
		c.form = form
		c.mu.Unlock()
	}
	if form != auth.FormTagged {
		form = auth.FormUntagged
	}
	if head.Signature(form).IsZero() {
		form = form.Other()
	}
	return form, nil
}

// keepPushForm stores the form that the origin accepted. The untagged form is the default, so it is
// stored only in place of the other one. Errors are ignored: the push was answered, and the next
// one can find the form again.
func (c *Client) keepPushForm(ctx context.Context, form auth.PushForm) {
	c.mu.Lock()
	before := c.form
	c.form = form
	c.mu.Unlock()
	if form == before || before == "" && form == auth.FormUntagged || c.opt.PushForms == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	if origin, err := c.base(ctx); err == nil {
		_ = c.opt.PushForms.KeepPushForm(ctx, origin, form)
	}
}
