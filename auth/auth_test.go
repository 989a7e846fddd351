package auth_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

func hexBytes(s string) ([]byte, error) { return hex.DecodeString(s) }

func refused(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// fails says what it was asked for and signs nothing.
type fails struct {
	auth.Signer
	err error
}

func (f fails) Sign(context.Context, []byte) (auth.Signature, error) {
	return auth.Signature{},
		f.err
}

func TestTextForms(t *testing.T) {
	k := auth.NewKey(seed(1))
	node := auth.NewNodeKey(seed(1))
	sig := must(k.Sign(t.Context(), nil))
	for _, c := range []struct {
		name  string
		text  string
		parse func(string) (fmt.Stringer, error)
	}{
		{"store id", auth.StoreIDFromKey(k.PublicKey()).String(), func(s string) (fmt.Stringer, error) { return auth.ParseStoreID(s) }},
		{"public key", k.PublicKey().String(), func(s string) (fmt.Stringer, error) { return auth.ParsePublicKey(s) }},
		{"signature", sig.String(), func(s string) (fmt.Stringer, error) { return auth.ParseSignature(s) }},
		{"node public key", node.PublicKey().String(), func(s string) (fmt.Stringer, error) { return auth.ParseNodePublicKey(s) }},
		{"node signature", must(node.Sign(t.Context(), nil)).String(), func(s string) (fmt.Stringer, error) { return auth.ParseNodeSignature(s) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range []string{c.text, strings.ToUpper(c.text)} {
				v, err := c.parse(s)
				if err != nil || v.String() != c.text {
					t.Errorf("%q: got %v, %v", s, v, err)
				}
			}
			for _, s := range []string{"", c.text[1:], c.text + "0", c.text + "00", "0x" + c.text, " " +
				c.text, c.text[1:] + "g", c.text[1:] + "\n", c.text[2:] + "é"} {
				if v, err := c.parse(s); err == nil {
					t.Errorf("%q: got %v, want an error", s, v)
				}
			}
		})
	}
}

func TestJSON(t *testing.T) {
	type all struct {
		Store auth.StoreID
		Key   auth.PublicKey
		Sig   auth.Signature
		Node  auth.NodePublicKey
		NSig  auth.NodeSignature
	}
	k, n := auth.NewKey(seed(2)), auth.NewNodeKey(seed(2))
	want := all{auth.StoreIDFromKey(k.PublicKey()), k.PublicKey(), must(k.Sign(t.Context(), nil)),
		n.PublicKey(), must(n.Sign(t.Context(), nil))}
	var got all
	if err := json.Unmarshal(must(json.Marshal(want)), &got); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestStoreIDFromKey(t *testing.T) {
	pub := auth.NewKey(seed(3)).PublicKey()
	same(t, auth.StoreIDFromKey(pub), auth.StoreID(merkle.Sum(pub[:])))
	a, b := auth.StoreID{1}, auth.StoreID{2}
	same(t, a.Compare(b), -1)
	same(t, a.IsZero(), false)
	same(t, auth.StoreID{}.IsZero(), true)
}

func TestVerifierRefusesKeys(t *testing.T) {
	for _, text := range []string{
		"c0" + strings.Repeat("0", 94), // infinity
		"8d5d0fb73b9c92df4eab4216e48c3e358578b4cc30f82c268bd6fef3bd34b558628daf1afef798d4c3b0fcd8b28c8973", // another subgroup
		strings.Repeat("0", 96),
		strings.Repeat("f", 96),
	} {
		_, err := auth.NewVerifier(must(auth.ParsePublicKey(text)))
		refused(t, err, auth.ErrPublicKey)
	}
}

func TestSignedRootChecks(t *testing.T) {
	k := auth.NewKey(seed(4))
	r := must(auth.SignRoot(t.Context(), auth.StoreID{1}, merkle.Hash{2}, k))
	zero := auth.Signature{}
	for _, c := range []struct {
		name   string
		change func(r *auth.SignedRoot)
		want   error
	}{
		{"both forms", func(*auth.SignedRoot) {}, nil},
		{"tagged only", func(r *auth.SignedRoot) { r.Untagged = zero }, nil},
		{"untagged only", func(r *auth.SignedRoot) { r.Tagged = zero }, nil},
		{"none", func(r *auth.SignedRoot) { r.Tagged, r.Untagged = zero, zero }, auth.ErrUnsigned},
		{"forms swapped", func(r *auth.SignedRoot) { r.Tagged, r.Untagged = r.Untagged, r.Tagged }, auth.ErrSignature},
		{"one form damaged", func(r *auth.SignedRoot) { r.Untagged[95] ^= 1 }, auth.ErrSignature},
		{"other root", func(r *auth.SignedRoot) { r.Root[0]++ }, auth.ErrSignature},
		{"other store", func(r *auth.SignedRoot) { r.Store[0]++ }, auth.ErrSignature},
		{"root and store swapped", func(r *auth.SignedRoot) { r.Store, r.Root = auth.StoreID(r.Root), merkle.Hash(r.Store) }, auth.ErrSignature},
		{"other key", func(r *auth.SignedRoot) { r.PublicKey = auth.NewKey(seed(5)).PublicKey() }, auth.ErrSignature},
		{"no key", func(r *auth.SignedRoot) { r.PublicKey = auth.PublicKey{} }, auth.ErrPublicKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r
			c.change(&r)
			refused(t, r.Check(), c.want)
		})
	}
}

func TestAcceptRoot(t *testing.T) {
	k := auth.NewKey(seed(4))
	r := must(auth.SignRoot(t.Context(), auth.StoreID{1}, merkle.Hash{2}, k))
	foreign := must(k.Sign(t.Context(), []byte("something else")))
	for _, c := range []struct {
		name             string
		sigs             []auth.Signature
		tagged, untagged bool
		want             error
	}{
		{"tagged", []auth.Signature{r.Tagged}, true, false, nil},
		{"untagged", []auth.Signature{r.Untagged}, false, true, nil},
		{"both, any order, twice", []auth.Signature{r.Untagged, r.Tagged, r.Untagged}, true, true, nil},
		{"one good, one bad", []auth.Signature{foreign, r.Tagged, {}}, true, false, nil},
		{"bad", []auth.Signature{foreign, {}}, false, false, auth.ErrSignature},
		{"none", nil, false, false, auth.ErrUnsigned},
		{"zero", []auth.Signature{{}, {}}, false, false, auth.ErrUnsigned},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := auth.AcceptRoot(r.Store, r.Root, r.PublicKey, c.sigs...)
			refused(t, err, c.want)
			if c.want == nil {
				same(t, got.Tagged == r.Tagged && got.Untagged == r.Untagged || !c.tagged || !c.untagged, true)
				same(t, !got.Tagged.IsZero(), c.tagged)
				same(t, !got.Untagged.IsZero(), c.untagged)
				same(t, got.Check(), nil)
			}
		})
	}
	_, err := auth.AcceptRoot(r.Store, r.Root, auth.PublicKey{}, r.Tagged)
	refused(t, err, auth.ErrPublicKey)
}

func TestSignerErrorsComeThrough(t *testing.T) {
	lost := errors.New("device unplugged")
	s := fails{auth.NewKey(seed(1)), lost}
	_, err := auth.SignRoot(t.Context(), auth.StoreID{}, merkle.Hash{}, s)
	refused(t, err, lost)
	_, err = auth.SignTombstone(t.Context(), auth.Tombstone{}, s)
	refused(t, err, lost)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = auth.NewKey(seed(1)).Sign(ended, nil)
	refused(t, err, context.Canceled)
}

func TestTombstones(t *testing.T) {
	k := auth.NewKey(seed(6))
	one := must(auth.SignTombstone(t.Context(),
		auth.Tombstone{Store: auth.StoreID{1}, Root: merkle.Hash{2}, NotAfter: 1 << 63, Reason: 200}, k))
	whole := must(auth.SignTombstone(t.Context(),
		auth.Tombstone{Store: auth.StoreID{1}, Reason: auth.Takedown}, k))
	same(t, one.Revokes(merkle.Hash{2}), true)
	same(t, one.Revokes(merkle.Hash{3}), false)
	same(t, one.WholeStore(), false)
	same(t, whole.Revokes(merkle.Hash{3}), true)
	same(t, one.Reason.String(), "unspecified")

	for _, ts := range []auth.Tombstone{one, whole} {
		record := must(ts.MarshalBinary())
		same(t, must(auth.ParseTombstone(record, ts.Sig)), ts)
		same(t, ts.Check(k.PublicKey()), nil)
		refused(t, ts.Check(auth.NewKey(seed(7)).PublicKey()), auth.ErrSignature)
		refused(t, ts.Check(auth.PublicKey{}), auth.ErrPublicKey)
		for i := range record {
			_, err := auth.ParseTombstone(record[:i], ts.Sig)
			refused(t, err, auth.ErrTombstone)
			changed := bytes.Clone(record)
			changed[i] ^= 4 // no scope turns into the other one
			if got, err := auth.ParseTombstone(changed, ts.Sig); err == nil {
				refused(t, got.Check(k.PublicKey()), auth.ErrSignature)
			}
		}
		_, err := auth.ParseTombstone(append(record, 0), ts.Sig)
		refused(t, err, auth.ErrTombstone)
	}
	noRoot := must(one.MarshalBinary())
	clear(noRoot[33:65])
	_, err := auth.ParseTombstone(noRoot, one.Sig)
	refused(t, err, auth.ErrTombstone)
}

func TestReasons(t *testing.T) {
	for r := auth.Unspecified; r <= auth.Takedown; r++ {
		same(t, must(auth.ParseReason(r.String())), r)
	}
	if _, err := auth.ParseReason("because"); err == nil {
		t.Error("an unknown reason parses")
	}
}

func TestNodeIDs(t *testing.T) {
	id := auth.NewNodeKey(seed(1)).ID()
	same(t, must(auth.ParseNodeID(string(id))), id)
	for _, s := range []string{"", "dig1", string(id[1:]), string(id) + "0", "dig1" +
		strings.Repeat("g", 16), "dig1" + strings.Repeat("A", 16), "DIG1" + string(id[4:])} {
		if _, err := auth.ParseNodeID(s); err == nil {
			t.Errorf("%q parses", s)
		}
	}
}

func TestGenerateKeys(t *testing.T) {
	s := seed(9)
	same(t, must(auth.GenerateKey(bytes.NewReader(s[:]))).PublicKey(), auth.NewKey(s).PublicKey())
	same(t, must(auth.GenerateNodeKey(bytes.NewReader(s[:]))).PublicKey(),
		auth.NewNodeKey(s).PublicKey())
	_, err := auth.GenerateKey(bytes.NewReader(s[:31]))
	refused(t, err, io.ErrUnexpectedEOF)
	_, err = auth.GenerateNodeKey(bytes.NewReader(nil))
	refused(t, err, io.EOF)
	a, b := must(auth.GenerateKey(nil)), must(auth.GenerateKey(nil))
	same(t, a.Seed() == b.Seed(), false)
	same(t, must(auth.ParseKey(hex.EncodeToString(s[:]))).Seed(), s)
	_, err = auth.ParseKey("0123secret")
	if err == nil || strings.Contains(err.Error(), "0123") {
		t.Errorf("got %v, want an error that repeats nothing", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	k, n := auth.NewKey(seed(0xab)), auth.NewNodeKey(seed(0xab))
	type holder struct {
		Key  *auth.Key
		Node *auth.NodeKey
	}
	hidden := []string{"abab", "171 171", "171,171", `\xab`, "q6ur"} // hex, decimal, quoted, base64
	show := func(how, got string) {
		for _, h := range hidden {
			if strings.Contains(strings.ToLower(got), h) {
				t.Errorf("%s shows %q", how, got)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
		for _, v := range []any{k, n, holder{k, n}, &holder{k, n}, []*auth.Key{k},
			map[string]*auth.NodeKey{"a": n}} {
			show(verb, fmt.Sprintf(verb, v))
		}
	}
	show("json", string(must(json.Marshal(holder{k, n}))))
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("keys", "key", k, "node", n, "both", holder{k, n})
	}
	show("slog", log.String())
	same(t, fmt.Sprintf("%x", k), fmt.Sprintf("bls:%08x", k.PublicKey().Fingerprint()))
	same(t, n.String(), string(n.ID()))
}

func FuzzTombstone(f *testing.F) {
	for _, t := range []auth.Tombstone{{Store: auth.StoreID{1}, Root: merkle.Hash{2}, NotAfter: 3,
		Reason: 1}, {NotAfter: 1}} {
		f.Add(must(t.MarshalBinary()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, err := auth.ParseTombstone(b, auth.Signature{})
		if err != nil {
			refused(t, err, auth.ErrTombstone)
			return
		}
		if got := must(ts.MarshalBinary()); !bytes.Equal(got, b) {
			t.Fatalf("%x parses and marshals as %x", b, got)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("dig103a107bff3ce10be")
	f.Add(strings.Repeat("0a", 32))
	f.Add(strings.Repeat("0A", 48))
	f.Add(strings.Repeat("0a", 96))
	f.Fuzz(func(t *testing.T, s string) {
		again := func(v fmt.Stringer, err error) {
			if err == nil && v.String() != strings.ToLower(s) {
				t.Fatalf("%q parses and prints as %q", s, v)
			}
		}
		again(auth.ParseStoreID(s))
		again(auth.ParsePublicKey(s))
		again(auth.ParseSignature(s))
		again(auth.ParseNodePublicKey(s))
		again(auth.ParseNodeSignature(s))
		if id, err := auth.ParseNodeID(s); err == nil && string(id) != s {
			t.Fatalf("%q parses as %q", s, id)
		}
		if k, err := auth.ParseKey(s); err == nil && k == nil {
			t.Fatal("neither key nor error")
		}
	})
}
