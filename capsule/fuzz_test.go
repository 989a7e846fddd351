package capsule_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/vectors"
)

// Whatever is read as a challenge is written as one that reads the same.
func FuzzChallenge(f *testing.F) {
	f.Add([]byte(`{"challenge_id":"a","capsule_hash":"` + fmt.Sprintf("%064d", 1) +
		`","challenge_type":"full","validator_signature":"` + fmt.Sprintf("%0128d", 1) + `"}`))
	if len(vectors.Seeds(f, proofVectorFile)) > 0 {
		w := newWorld(f)
		f.Add(must(w.challenge(f, nil).MarshalJSON()))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := capsule.ParseChallenge(text)
		if err != nil {
			if !errors.Is(err, capsule.ErrChallenge) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := capsule.ParseChallenge(must(c.MarshalJSON()))
		if err != nil || *again != *c {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
		if bytes.Contains(text, []byte("null")) && !json.Valid(text) {
			t.Errorf("%s is no JSON", text)
		}
	})
}

// Whatever is read as a manifest is JSON and is written as one that reads the same.
func FuzzManifest(f *testing.F) {
	for _, file := range vectors.Seeds(f, "dig/hostile-manifests.json") {
		var v struct{ Cases []struct{ JSON string } }
		if err := json.Unmarshal(file, &v); err != nil {
			f.Fatal(err)
		}
		for _, c := range v.Cases {
			f.Add([]byte(c.JSON))
		}
	}
	f.Add(must(manifestOf(1, pattern(1, 10), nil).MarshalJSON()))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := capsule.ReadManifest(bytes.NewReader(text), 1<<20)
		if err != nil {
			if !errors.Is(err, capsule.ErrManifest) {
				t.Errorf("%v", err)
			}
			return
		}
		if !json.Valid(text) {
			t.Errorf("%q is no JSON", text)
		}
		again, err := capsule.ReadManifest(bytes.NewReader(must(m.MarshalJSON())), 0)
		if err != nil || fmt.Sprint(*again) != fmt.Sprint(*m) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

// Whatever is read as a bundle is written as the same bytes; only the honest ones of a
// challenge hold.
func FuzzBundle(f *testing.F) {
	f.Add([]byte("DIGB"))
	var c *capsule.Challenge
	o := new(capsule.VerifyOptions)
	var honest []byte
	if len(vectors.Seeds(f, proofVectorFile)) > 0 {
		w := newWorld(f)
		c, o, honest = w.challenge(f, w.accessOnly), w.options(), w.v.AccessOnly.Bundle.bytes(f)
		f.Add(honest)
		f.Add(w.v.Bundle.bytes(f))
		for _, kind := range []capsule.ChallengeType{capsule.PlotOwnership, capsule.DataInclusion} {
			b, err := w.prover.Prove(f.Context(),
				w.challenge(f, func(c *capsule.Challenge) { c.Type = kind }))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(must(b.MarshalBinary()))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := capsule.ParseBundle(raw)
		if err != nil {
			if !errors.Is(err, capsule.ErrBundle) {
				t.Errorf("%v", err)
			}
			return
		}
		if got := must(b.MarshalBinary()); !bytes.Equal(got, raw) {
			t.Errorf("%x became %x", raw, got)
		}
		must(json.Marshal(b))
		if c == nil {
			return
		}
		if _, err := b.Verify(t.Context(), c, o); err == nil && !bytes.Equal(raw, honest) {
			t.Errorf("%x holds", raw)
		}
	})
}
