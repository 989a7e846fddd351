package auth_test

import (
	"strconv"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

func same[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func seed(b byte) (s [auth.SeedSize]byte) {
	for i := range s {
		s[i] = b
	}
	return s
}

// What is signed and how: every role of store/bls.json, and for those that this package makes also
// the statement itself.
func TestStoreVectors(t *testing.T) {
	type signed struct {
		Name, Role   string
		Seed         string         `json:"seed_hex"`
		Pubkey       auth.PublicKey `json:"pubkey_hex"`
		Msg          vectors.Hex    `json:"message_hex"`
		Sig          auth.Signature `json:"signature_hex"`
		Root         merkle.Hash
		StoreID      auth.StoreID `json:"store_id"`
		Record       vectors.Hex  `json:"record_hex"`
		NotAfter     string       `json:"not_after"`
		Reason       auth.Reason
		Method       string
		Timestamp    uint64
		Nonce        vectors.Hex
		ProgramHash  vectors.Hex `json:"program_hash"`
		PublicOutput vectors.Hex `json:"public_output"`
		HeaderHash   vectors.Hex `json:"chia_header_hash"`
		Height       uint32
		PublicInput  vectors.Hex `json:"public_input_hex"`
	}
	var f struct {
		Origin, Scheme string
		DST            string `json:"hash_to_curve_dst"`
		Keygen         []struct {
			Seed   string         `json:"seed_hex"`
			Scalar vectors.Hex    `json:"secret_scalar_hex"` // internal/bls compares it
			Pubkey auth.PublicKey `json:"pubkey_hex"`
		}
		KAT, Signing []signed
		Reject       []struct {
			Name   string
			Pubkey auth.PublicKey `json:"pubkey_hex"`
			Msg    vectors.Hex    `json:"message_hex"`
			Sig    vectors.Hex    `json:"signature_hex"`
		}
	}
	vectors.Load(t, "store/bls.json", &f)
	for _, c := range f.Keygen {
		same(t, must(auth.ParseKey(c.Seed)).PublicKey(), c.Pubkey)
	}
	for _, c := range append(f.KAT, f.Signing...) {
		k := must(auth.ParseKey(c.Seed))
		same(t, k.PublicKey(), c.Pubkey)
		same(t, must(k.Sign(t.Context(), c.Msg)), c.Sig)
		if err := must(auth.NewVerifier(c.Pubkey)).Verify(c.Msg, c.Sig); err != nil {
			t.Errorf("%s %s: %v", c.Role, c.Name, err)
		}
		switch c.Role {
		case "push":
			r := must(auth.SignRoot(t.Context(), c.StoreID, c.Root, k))
			same(t, r.Tagged, c.Sig)
			same(t, r.Check(), nil)
		case "tombstone":
			want := auth.Tombstone{Store: c.StoreID, Root: c.Root,
				NotAfter: must(strconv.ParseUint(c.NotAfter, 10, 64)), Reason: c.Reason}
			same(t, must(auth.ParseTombstone(c.Record, auth.Signature{})), want)
			got := must(auth.SignTombstone(t.Context(), want, k))
			same(t, vectors.Hex(must(got.MarshalBinary())).String(), c.Record.String())
			same(t, got.Sig, c.Sig)
			same(t, got.Check(c.Pubkey), nil)
		}
	}
	for _, c := range f.Reject {
		v := must(auth.NewVerifier(c.Pubkey))
		var sig auth.Signature
		if len(c.Sig) == len(sig) {
			copy(sig[:], c.Sig)
		}
		refused(t, v.Verify(c.Msg, sig), auth.ErrSignature)
	}
	vectors.Count(t, "store/bls.json", len(f.Keygen)+len(f.KAT)+len(f.Signing)+len(f.Reject), 0)
}

func TestPushVectors(t *testing.T) {
	type form struct {
		Message   vectors.Hex
		Signature auth.Signature
	}
	var f struct {
		About string
		Cases []struct {
			Seed       string         `json:"store_seed"`
			PublicKey  auth.PublicKey `json:"public_key"`
			Root       merkle.Hash
			StoreID    auth.StoreID `json:"store_id"`
			Untagged   form
			Tagged     form
			WrongOrder auth.Signature `json:"wrong_order_must_fail_both"`
		}
	}
	vectors.Load(t, "dig/dig-push-auth.json", &f)
	for _, c := range f.Cases {
		r := must(auth.SignRoot(t.Context(), c.StoreID, c.Root, must(auth.ParseKey(c.Seed))))
		same(t, r, auth.SignedRoot{Store: c.StoreID, Root: c.Root, PublicKey: c.PublicKey,
			Tagged: c.Tagged.Signature, Untagged: c.Untagged.Signature})
		same(t, r.Check(), nil)
		v := must(auth.NewVerifier(c.PublicKey))
		same(t, v.Verify(c.Tagged.Message, c.Tagged.Signature), nil)
		same(t, v.Verify(c.Untagged.Message, c.Untagged.Signature), nil)

		for _, sig := range []auth.Signature{c.Untagged.Signature, c.WrongOrder} {
			bad := r
			bad.Tagged = sig
			refused(t, bad.Check(), auth.ErrSignature)
		}
		for _, sig := range []auth.Signature{c.Tagged.Signature, c.WrongOrder} {
			bad := r
			bad.Untagged = sig
			refused(t, bad.Check(), auth.ErrSignature)
		}
		_, err := auth.AcceptRoot(c.StoreID, c.Root, c.PublicKey, c.WrongOrder)
		refused(t, err, auth.ErrSignature)
	}
	vectors.Count(t, "dig/dig-push-auth.json", len(f.Cases), 0)
}

// The values of remote/PROTOCOL.md 1.5. Those of requests are in auth/request.
func TestSpecValues(t *testing.T) {
	k := auth.NewKey(seed(0x2a))
	same(t, k.PublicKey().String(),
		"b145dfcb3cbdef21502f305d1ba1cba584796918571e8b5d85be176f3445ac7ad99aec19e1931b6934d7290b97ec2d7"+
			"5")
	same(t, auth.NewKey(seed(0x63)).PublicKey().String(),
		"991e3d880f55d9c483a767df65237a33920c47a73a1fac86779aea4ee5e50c77b19d75d6172f3d45f2fd9c633bd457a"+
			"5")
	store, root := auth.StoreID(seed(1)), merkle.Hash(seed(0x20))

	r := must(auth.SignRoot(t.Context(), store, root, k))
	same(t, r.Tagged.String(),
		"91ae028dbc35650d8f4cdf6f76219f5b023d1c27841d6ca6e5506e2f64c610afcdca1ea18bdd9b176f5b2799b4a5651"+
			"1"+
			"193eb5fca294723c1311cb263ec9af2bc86ac45bc2c3ae66a2f6eb9d4b886ef4e80a16adc5197cc713b5519c5a5bd3"+
			"4e")
	same(t, r.Untagged.String(),
		"89bcbbce1561cad525961118ba18a75773873b2289d8835e6f24d304aae15fc8b36b5f369c0cd20d67a8efb4360fb93"+
			"b"+
			"141666e6d85ffdd5c663f031fba772c25282ff1655233ca7f51dead0436dbb232d7117ba503ae8da58b580fe9c11da"+
			"0a")

	for _, c := range []struct {
		t           auth.Tombstone
		record, sig string
	}{
		{auth.Tombstone{Store: store, Root: root, NotAfter: 1700000000, Reason: auth.Compromise},
			store.String() + "00" + root.String() + "000000006553f10001",
			"b55d9c156ac78ff2abe70d8172219abe307d4dfc9ce474f6db12510f32cef552b682d8a62b299432eeae438e7b7c9167" +
				"05008374a408677406bf0a6bd49dca3937e1f2fc0a013a19b33ec7a2e3e3eaba4954e2a8e59c6fd4df91c87847c05ea7"},
		{auth.Tombstone{Store: store, NotAfter: 1700000000, Reason: auth.Takedown},
			store.String() + "01" + "000000006553f10003",
			"874f27c684f2e52a906f919774898233c65e31a9ddbc028220de5c4588d4b9d6653cff130ed78a0b56fa6c0777ce650d" +
				"0f3c3d25312c123b191e75c81bab673f093fe8accc06b79d1f170221e9a027c84dcd7566bd93fc7a38765cca8bfd6982"},
	} {
		signed := must(auth.SignTombstone(t.Context(), c.t, k))
		same(t, vectors.Hex(must(signed.MarshalBinary())).String(), c.record)
		same(t, signed.Sig.String(), c.sig)
		same(t, signed.Check(k.PublicKey()), nil)
	}
}

// Chia's own short name of keys.
func TestFingerprintVectors(t *testing.T) {
	var f struct {
		Cases []struct {
			Seed        vectors.Hex // of any length; ours have 32 bytes
			PK          auth.PublicKey
			Fingerprint uint32
		}
	}
	vectors.Load(t, "dig/chia-keygen-sign.json", &f)
	for _, c := range f.Cases {
		if len(c.Seed) == auth.SeedSize {
			same(t, auth.NewKey([auth.SeedSize]byte(c.Seed)).PublicKey(), c.PK)
		}
		same(t, c.PK.Fingerprint(), c.Fingerprint)
	}
	vectors.Count(t, "dig/chia-keygen-sign.json", len(f.Cases), 0)
}
