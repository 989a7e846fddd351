package capsule_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/merkle"
)

// countingPlots counts searches, and can be slow.
type countingPlots struct {
	capsule.Plots
	mu    sync.Mutex
	finds int
	wait  chan struct{} // nil: none
	err   error
}

func (p *countingPlots) Find(ctx context.Context, hash, id merkle.Hash) (capsule.Plotted, error) {
	p.mu.Lock()
	p.finds++
	err := p.err
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if p.wait != nil {
		select {
		case <-p.wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return p.Plots.Find(ctx, hash, id)
}

func (w *world) responder() (*capsule.Responder, *countingPlots) {
	plots := &countingPlots{Plots: w.plots}
	w.prover = &capsule.Prover{Key: w.node, Plots: plots,
		Now: func() time.Time { return time.Unix(int64(w.now), 0) }}
	return &capsule.Responder{Prover: w.prover,
		Validators: []auth.NodePublicKey{w.validator.PublicKey()}}, plots
}

func TestResponderRefuses(t *testing.T) {
	w := newWorld(t)
	limited := errors.New("too many")
	for _, c := range []struct {
		name      string
		challenge func(*capsule.Challenge)
		responder func(*capsule.Responder)
		now       uint64
		after     func(*capsule.Challenge) // after signing
		want      []error
	}{
		{name: "right"},
		{name: "issued in the future", now: w.v.IssuedAt - 31, want: []error{capsule.ErrExpired}},
		{name: "issued just now", now: w.v.IssuedAt - 30},
		{name: "lives too long", challenge: func(c *capsule.Challenge) {
			c.ExpiresAt = c.IssuedAt +
				121
		}, want: []error{capsule.ErrExpired}},
		{name: "lives just long enough",
			challenge: func(c *capsule.Challenge) { c.ExpiresAt = c.IssuedAt + 120 }},
		{name: "expired", now: w.v.ExpiresAt + 61, want: []error{capsule.ErrExpired}},
		{name: "just not expired", now: w.v.ExpiresAt + 59},
		{name: "never expires", challenge: func(c *capsule.Challenge) {
			c.IssuedAt, c.ExpiresAt = 0,
				1<<62
		}, want: []error{capsule.ErrExpired}},
		{name: "ends before it begins",
			after: func(c *capsule.Challenge) { c.ExpiresAt = c.IssuedAt - 1 },
			want:  []error{capsule.ErrChallenge}},
		{name: "too much work", challenge: func(c *capsule.Challenge) {
			c.Type, c.WorkBits = capsule.Full, 25
		}, want: []error{capsule.ErrChallenge,
			capsule.ErrUnsupported}},
		{name: "more work than configured", challenge: func(c *capsule.Challenge) {
			c.Type, c.WorkBits = capsule.Full, 9
		},
			responder: func(r *capsule.Responder) { r.MaxWorkBits = 8 },
			want:      []error{capsule.ErrUnsupported}},
		{name: "no samples", after: func(c *capsule.Challenge) { c.Samples = 0 },
			want: []error{capsule.ErrUnsupported}},
		{name: "too many samples", after: func(c *capsule.Challenge) { c.Samples = 257 },
			want: []error{capsule.ErrUnsupported}},
		{name: "unknown type", after: func(c *capsule.Challenge) { c.Type = 5 },
			want: []error{capsule.ErrChallenge, capsule.ErrUnsupported}},
		{name: "no id", after: func(c *capsule.Challenge) { c.ID = "" },
			want: []error{capsule.ErrChallenge}},
		{name: "bad id", after: func(c *capsule.Challenge) { c.ID = "a b" },
			want: []error{capsule.ErrChallenge}},
		{name: "unknown validator",
			responder: func(r *capsule.Responder) { r.Validators[0] = w.node.PublicKey() },
			want:      []error{capsule.ErrUnknownValidator}},
		{name: "any validator", responder: func(r *capsule.Responder) { r.Validators = nil }},
		{name: "changed after signing", after: func(c *capsule.Challenge) { c.WorkBits++ },
			want: []error{capsule.ErrSignature}},
		{name: "limited",
			responder: func(r *capsule.Responder) { r.Limit = func(auth.NodePublicKey) error { return limited } }, want: []error{limited}},
		{name: "entropy", responder: func(r *capsule.Responder) { r.Chain = chain{peak: 5000130} },
			want: []error{capsule.ErrBinding}},
		{name: "capsule is not here", challenge: func(c *capsule.Challenge) { c.CapsuleHash[0]++ },
			want: []error{fs.ErrNotExist}},
		{name: "another node",
			challenge: func(c *capsule.Challenge) { c.Node = w.validator.PublicKey() },
			want:      []error{fs.ErrNotExist}},
		{name: "another plot", challenge: func(c *capsule.Challenge) { c.PlotID[0]++ },
			responder: func(r *capsule.Responder) {
				r.Held = holds(true,
					nil)
			}, want: []error{fs.ErrNotExist}},
		{name: "in no plot yet",
			challenge: func(c *capsule.Challenge) { c.CapsuleHash[0]++; c.PlotID = merkle.Hash{} },
			responder: func(r *capsule.Responder) {
				r.Held = holds(true,
					nil)
			}, want: []error{capsule.ErrNotReady}},
		{name: "not held either",
			challenge: func(c *capsule.Challenge) { c.CapsuleHash[0]++; c.PlotID = merkle.Hash{} },
			responder: func(r *capsule.Responder) {
				r.Held = holds(false,
					nil)
			}, want: []error{fs.ErrNotExist}},
	} {
		w.now = 1700001002
		if c.now > 0 {
			w.now = c.now
		}
		challenge := w.challenge(t, func(ch *capsule.Challenge) {
			w.accessOnly(ch)
			if c.challenge != nil {
				c.challenge(ch)
			}
		})
		if c.after != nil {
			c.after(challenge)
		}
		r, _ := w.responder()
		if c.responder != nil {
			c.responder(r)
		}
		b, err := r.Answer(t.Context(), challenge)
		if c.want != nil {
			wantError(t, c.name, err, c.want...)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if _, err := b.Verify(t.Context(), challenge, w.options()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func holds(held bool, err error) func(context.Context, merkle.Hash) (bool, error) {
	return func(context.Context, merkle.Hash) (bool, error) { return held, err }
}

// The same challenge has one answer, made once, also after its expiry and for many who ask at
// once; another
// challenge of the same id is refused; failures are not remembered.
func TestResponderReplay(t *testing.T) {
	w := newWorld(t)
	r, plots := w.responder()
	plots.err = fs.ErrPermission
	c := w.challenge(t, w.accessOnly)
	if _, err := r.Answer(t.Context(), c); !errors.Is(err, fs.ErrPermission) {
		t.Fatal(err)
	}
	plots.err, plots.wait, plots.finds = nil, make(chan struct{}), 0
	var wg sync.WaitGroup
	answers := make([]*capsule.Bundle, 8)
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = r.Answer(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	close(plots.wait)
	wg.Wait()
	for _, b := range answers {
		if b != answers[0] {
			t.Error("another answer to the same challenge")
		}
	}
	if plots.finds != 1 {
		t.Errorf("%d searches, want 1", plots.finds)
	}
	if _, err := r.Answer(t.Context(), w.challenge(t,
		func(c *capsule.Challenge) { w.accessOnly(c); c.Entropy[0]++ })); !errors.Is(err,
		capsule.ErrReplay) {
		t.Errorf("the id again: %v, want ErrReplay", err)
	}
	w.now = c.ExpiresAt + 120
	if b, err := r.Answer(t.Context(), c); err != nil || b != answers[0] {
		t.Errorf("long after expiry: %v", err)
	}
	w.now++
	if _, err := r.Answer(t.Context(), c); !errors.Is(err, capsule.ErrExpired) {
		t.Errorf("when the answer is forgotten: %v, want ErrExpired", err)
	}
}

// Who asks first may give up: the others still get their answer.
func TestResponderFirstGivesUp(t *testing.T) {
	w := newWorld(t)
	r, plots := w.responder()
	plots.wait = make(chan struct{})
	c := w.challenge(t, w.accessOnly)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := r.Answer(ctx, c)
		first <- err
	}()
	for {
		plots.mu.Lock()
		n := plots.finds
		plots.mu.Unlock()
		if n == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	second := make(chan error, 1)
	go func() {
		_, err := r.Answer(t.Context(), c)
		second <- err
	}()
	time.Sleep(5 * time.Millisecond)
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
	close(plots.wait)
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestMinimalChallenge(t *testing.T) {
	w := newWorld(t)
	minimal := &capsule.Challenge{ID: "min_1", Type: capsule.Full,
		CapsuleHash: w.manifest.Capsules[1].Hash, Minimal: true}
	if err := minimal.Sign(t.Context(), w.validator); err != nil {
		t.Fatal(err)
	}
	text := must(minimal.MarshalJSON())
	got := must(capsule.ParseChallenge(text))
	if *got != *minimal {
		t.Fatalf("%s became %+v", text, got)
	}
	r, plots := w.responder()
	// each key is tried
	r.Validators = append([]auth.NodePublicKey{w.node.PublicKey()}, r.Validators...)
	b, err := r.Answer(t.Context(), got)
	if err != nil {
		t.Fatal(err)
	}
	complete := minimal.Complete(w.validator.PublicKey(), w.node.PublicKey())
	res, err := b.Verify(t.Context(), complete, w.options())
	if err != nil || res.Bound || res.Unbound != "minimal challenge" {
		t.Errorf("%+v, %v, want unbound", res, err)
	}
	if complete.WorkBits != 16 || complete.Samples != 20 ||
		complete.Entropy != merkle.Sum(minimal.Signature[:]) {
		t.Errorf("completed to %+v", complete)
	}
	if _, err := b.Verify(t.Context(), minimal, w.options()); !errors.Is(err,
		capsule.ErrChallenge) {
		t.Errorf("not completed: %v", err)
	}
	if _, err := w.prover.Prove(t.Context(), minimal); !errors.Is(err, capsule.ErrChallenge) {
		t.Errorf("prove what is not completed: %v", err)
	}
	w.now += 24*3600 - 1 // it has no times of its own: what keeps it from being replayed is memory
	if _, err := r.Answer(t.Context(), got); err != nil || plots.finds != 1 {
		t.Errorf("a day later: %v, %d searches", err, plots.finds)
	}
	other := *minimal
	other.Type = capsule.PhysicalAccess
	if err := other.Sign(t.Context(), w.validator); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Answer(t.Context(), &other); !errors.Is(err, capsule.ErrReplay) {
		t.Errorf("the id again: %v", err)
	}
	if other.Complete(w.validator.PublicKey(), w.node.PublicKey()).WorkBits != 0 {
		t.Error("physical_access asks for work")
	}
	for name, change := range map[string]func(*capsule.Responder){
		"switched off":       func(r *capsule.Responder) { r.NoMinimal = true },
		"nobody configured":  func(r *capsule.Responder) { r.Validators = nil },
		"another configured": func(r *capsule.Responder) { r.Validators = []auth.NodePublicKey{w.node.PublicKey()} },
	} {
		r, _ := w.responder()
		change(r)
		if _, err := r.Answer(t.Context(), got); !errors.Is(err, capsule.ErrUnknownValidator) &&
			!errors.Is(err, capsule.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is remembered is bounded, and a dropped answer is made again.
func TestResponderMemory(t *testing.T) {
	w := newWorld(t)
	r, _ := w.responder()
	c := w.challenge(t, w.accessOnly)
	first, err := r.Answer(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	capsule.OverflowAnswers(r)
	again, err := r.Answer(t.Context(), c)
	if err != nil || again == first {
		t.Errorf("after a drop: the same %v, %v", again == first, err)
	}
	if !bytes.Equal(must(again.MarshalBinary()), must(first.MarshalBinary())) {
		t.Error("another answer than at first")
	}
	capsule.OverflowAnswers(r)
	if _, err := r.Answer(t.Context(), w.challenge(t,
		func(c *capsule.Challenge) { w.accessOnly(c); c.Entropy[0]++ })); !errors.Is(err,
		capsule.ErrReplay) {
		t.Errorf("the id of a dropped answer: %v, want ErrReplay", err)
	}
}

func TestChallengeJSON(t *testing.T) {
	w := newWorld(t)
	c := w.challenge(t, nil)
	text := must(c.MarshalJSON())
	if got := must(capsule.ParseChallenge(text)); *got != *c {
		t.Fatalf("%s became %+v", text, got)
	}
	replaced := func(old, new string) []byte {
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("%s lacks %s", text, old)
		}
		return bytes.Replace(text, []byte(old), []byte(new), 1)
	}
	hash := fmt.Sprint(c.CapsuleHash)
	for _, good := range [][]byte{
		replaced("0x"+hash, hash),
		replaced(`{"challenge_id"`, `{"later":[{}],"challenge_id"`),
	} {
		if got, err := capsule.ParseChallenge(good); err != nil || *got != *c {
			t.Errorf("%s: %v", good, err)
		}
	}
	for name, bad := range map[string][]byte{
		"long hash":           replaced("0x"+hash, hash+"00"),
		"0X":                  replaced("0x"+hash, "0X"+hash),
		"short hash":          replaced(hash, hash[1:]),
		"unknown type":        replaced(`"full"`, `"most"`),
		"type in capitals":    replaced(`"full"`, `"Full"`),
		"a member twice":      replaced(`"samples":20`, `"samples":20,"samples":20`),
		"another case":        replaced(`"samples"`, `"Samples"`),
		"a member missing":    replaced(`,"samples":20`, ``),
		"no samples":          replaced(`"samples":20`, `"samples":0`),
		"samples as text":     replaced(`"samples":20`, `"samples":"20"`),
		"samples of 2^16":     replaced(`"samples":20`, `"samples":65536`),
		"bits of 256":         replaced(`"work_bits":16`, `"work_bits":256`),
		"negative time":       replaced(`"issued_at":1`, `"issued_at":-1`),
		"fraction":            replaced(`"issued_at":1700001000`, `"issued_at":1700001000.0`),
		"null":                replaced(`"`+w.v.Challenge.ID+`"`, `null`),
		"long id":             replaced(w.v.Challenge.ID, fmt.Sprintf("%065d", 0)),
		"trailing text":       append(bytes.Clone(text), 'x'),
		"cut off":             text[:len(text)-1],
		"array":               []byte("[]"),
		"more than the limit": append(bytes.Repeat([]byte(" "), 16<<10), text...),
		"all-zero validator":  replaced(w.validator.PublicKey().String(), fmt.Sprintf("%064d", 0)),
		"node of small order": replaced(w.node.PublicKey().String(), "01"+fmt.Sprintf("%062d", 0)),
	} {
		if got, err := capsule.ParseChallenge(bad); !errors.Is(err, capsule.ErrChallenge) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestChallengeRefused(t *testing.T) {
	w := newWorld(t)
	text := must(w.challenge(t, nil).MarshalJSON())
	_, err := capsule.ParseChallenge(bytes.Replace(text, []byte(`"samples":20`),
		[]byte(`"samples":20,"samples":20`), 1))
	wantError(t, "a member twice", err, capsule.ErrChallenge, strictjson.ErrDuplicate)
	bad := &capsule.Challenge{ID: "a b"}
	if text, err := bad.MarshalJSON(); !errors.Is(err, capsule.ErrChallenge) {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := w.prover.Prove(t.Context(), bad); !errors.Is(err, capsule.ErrChallenge) {
		t.Errorf("prove: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.prover.Work = workerFunc(func(context.Context) error { cancel(); return context.Canceled })
	if _, err := w.prover.Prove(ctx, w.challenge(t, nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("a search that is cancelled: %v", err)
	}
	broken := errors.New("broken")
	w.prover.Work = workerFunc(func(context.Context) error { return broken })
	if _, err := w.prover.Prove(t.Context(), w.challenge(t, nil)); !errors.Is(err, broken) {
		t.Errorf("a worker that fails: %v", err)
	}
	w.prover.Plots = brokenPlots{w.plots, broken}
	if _, err := w.prover.Prove(t.Context(), w.challenge(t, w.accessOnly)); !errors.Is(err,
		broken) {
		t.Errorf("subroots that cannot be read: %v", err)
	}
}

type workerFunc func(context.Context) error

func (f workerFunc) Search(ctx context.Context, _ capsule.WorkInput, _ int) (uint64, error) {
	return 0, f(ctx)
}
func (workerFunc) Name() string { return "test" }

// brokenPlots cannot read subroots.
type brokenPlots struct {
	capsule.Plots
	err error
}

type brokenPlotted struct {
	capsule.Plotted
	err error
}

func (p brokenPlots) Find(ctx context.Context, hash, id merkle.Hash) (capsule.Plotted, error) {
	held, err := p.Plots.Find(ctx, hash, id)
	return brokenPlotted{held, p.err}, err
}

func (p brokenPlotted) Subroots(context.Context) ([]merkle.Hash, error) { return nil, p.err }

// failingSigner has a key and cannot sign, after some signatures.
type failingSigner struct {
	*auth.NodeKey
	after int
}

var errSigner = errors.New("device is unplugged")

func (s *failingSigner) Sign(ctx context.Context, msg []byte) (auth.NodeSignature, error) {
	if s.after--; s.after < 0 {
		return auth.NodeSignature{}, errSigner
	}
	return s.NodeKey.Sign(ctx, msg)
}

func TestSignerFails(t *testing.T) {
	w := newWorld(t)
	c := w.challenge(t, w.accessOnly)
	d := *c
	if err := d.Sign(t.Context(), &failingSigner{NodeKey: w.validator}); !errors.Is(err,
		errSigner) || d.Signature != c.Signature {
		t.Errorf("challenge: %v", err)
	}
	for n := range 3 {
		b, err := (&capsule.Prover{Key: &failingSigner{NodeKey: w.node, after: n},
			Plots: w.plots}).Prove(t.Context(), c)
		if (err == nil) != (n == 2) || err != nil && !errors.Is(err, errSigner) ||
			(b == nil) != (err != nil) {
			t.Errorf("after %d signatures: %v, %v", n, b, err)
		}
	}
	if err := c.Verify(w.node.PublicKey()); !errors.Is(err, capsule.ErrUnknownValidator) {
		t.Errorf("verified by another key: %v", err)
	}
	kept := capsule.Challenge{ID: "kept"}
	if err := kept.UnmarshalJSON([]byte("{}")); !errors.Is(err, capsule.ErrChallenge) ||
		kept.ID != "kept" {
		t.Errorf("%v, %+v", err, kept)
	}
}
