package bls_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/internal/vectors"
)

func refused(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func keyOf(t *testing.T, seed []byte) *bls.SecretKey {
	t.Helper()
	sk, err := bls.KeyGenV3(seed)
	if err != nil {
		t.Fatal(err)
	}
	return sk
}

func fingerprint(k *bls.PublicKey) uint32 {
	b := k.Bytes()
	h := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(h[:])
}

func secretHex(sk *bls.SecretKey) string {
	b := sk.Bytes()
	return hex.EncodeToString(b[:])
}

func keyHex(k *bls.PublicKey) string {
	b := k.Bytes()
	return hex.EncodeToString(b[:])
}

func sigHex(s *bls.Signature) string {
	b := s.Bytes()
	return hex.EncodeToString(b[:])
}

func TestStoreVectors(t *testing.T) {
	type signed struct {
		Role   string
		Seed   vectors.Hex `json:"seed_hex"`
		Pubkey vectors.Hex `json:"pubkey_hex"`
		Msg    vectors.Hex `json:"message_hex"`
		Sig    vectors.Hex `json:"signature_hex"`
		Name   string
	}
	var f struct {
		Scheme string
		DST    string `json:"hash_to_curve_dst"`
		Keygen []struct {
			Seed   vectors.Hex `json:"seed_hex"`
			Scalar vectors.Hex `json:"secret_scalar_hex"`
			Pubkey vectors.Hex `json:"pubkey_hex"`
		}
		KAT, Signing, Reject []signed
	}
	// The members that say how a message was put together belong to package auth's test.
	vectors.Load(t, "store/bls.json", &f)
	same(t, f.DST, bls.Augmented.DST())
	for _, c := range f.Keygen {
		sk := keyOf(t, c.Seed)
		same(t, secretHex(sk), c.Scalar.String())
		same(t, keyHex(sk.PublicKey()), c.Pubkey.String())
	}
	for _, c := range append(f.KAT, f.Signing...) {
		sk := keyOf(t, c.Seed)
		same(t, keyHex(sk.PublicKey()), c.Pubkey.String())
		same(t, sigHex(sk.Sign(bls.Augmented, c.Msg)), c.Sig.String())
		same(t, verifies(bls.Augmented, c.Pubkey, c.Msg, c.Sig), true)
	}
	for _, c := range f.Reject {
		if verifies(bls.Augmented, c.Pubkey, c.Msg, c.Sig) {
			t.Errorf("%s: verifies", c.Name)
		}
	}
	vectors.Count(t, "store/bls.json", len(f.Keygen)+len(f.KAT)+len(f.Signing)+len(f.Reject), 0)
}

func TestChiaKeygenSign(t *testing.T) {
	type child struct {
		I      uint32
		SK, PK vectors.Hex
	}
	var f struct {
		About string
		DST   string `json:"dst_aug"`
		Cases []struct {
			Seed, SK, PK, Msg    vectors.Hex
			Fingerprint          uint32
			Aug                  vectors.Hex `json:"sig_aug"`
			Basic                vectors.Hex `json:"sig_basic"`
			Possession           vectors.Hex `json:"sig_pop_scheme"`
			Hardened, Unhardened []child
		}
	}
	vectors.Load(t, "dig/chia-keygen-sign.json", &f)
	same(t, f.DST, bls.Augmented.DST())
	derived := 0
	for _, c := range f.Cases {
		sk := keyOf(t, c.Seed)
		same(t, secretHex(sk), c.SK.String())
		same(t, keyHex(sk.PublicKey()), c.PK.String())
		same(t, fingerprint(sk.PublicKey()), c.Fingerprint)
		for s, want := range map[bls.Scheme]vectors.Hex{
			bls.Augmented: c.Aug, bls.Basic: c.Basic, bls.Possession: c.Possession,
		} {
			same(t, sigHex(sk.Sign(s, c.Msg)), want.String())
			same(t, verifies(s, c.PK, c.Msg, want), true)
			same(t, verifies(bls.Augmented, c.PK, c.Msg, want), s == bls.Augmented)
		}
		derived += len(c.Hardened) + len(c.Unhardened)
	}
	// Child keys: no key of this project is derived from another.
	vectors.Count(t, "dig/chia-keygen-sign.json", len(f.Cases), derived)
}

func TestChiaPublished(t *testing.T) {
	var f struct {
		About, Notes string
		Keygen       []struct {
			Seed, SK    vectors.Hex
			Fingerprint *uint32
		} `json:"keygen_seed_to_sk"`
		TooShort  vectors.Hex `json:"keygen_seed_too_short_must_fail"`
		Aggregate struct {
			Seeds, Messages []vectors.Hex
			Signers         []int
			Aggregate       vectors.Hex
		} `json:"aug_aggregate_of_aggregates"`
		EIP2333 []struct {
			Seed, Master vectors.Hex
			Index        uint32
			Child        vectors.Hex
		}
		Derive     json.RawMessage        `json:"derive_from_sk"`
		Hash       map[string]vectors.Hex `json:"hash_to_g2_utf8_message_abcdef0123456789"`
		NotParsing []vectors.Hex          `json:"g1_must_not_parse"`
	}
	vectors.Load(t, "chia/published.json", &f)
	for _, c := range f.Keygen {
		sk := keyOf(t, c.Seed)
		if c.SK != nil {
			same(t, secretHex(sk), c.SK.String())
		}
		if c.Fingerprint != nil {
			same(t, fingerprint(sk.PublicKey()), *c.Fingerprint)
		}
	}
	_, err := bls.KeyGenV3(f.TooShort)
	refused(t, err, bls.ErrSeed)

	var keys []*bls.PublicKey
	var msgs [][]byte
	var sigs []*bls.Signature
	for i, signer := range f.Aggregate.Signers {
		sk := keyOf(t, f.Aggregate.Seeds[signer])
		keys, msgs = append(keys, sk.PublicKey()), append(msgs, f.Aggregate.Messages[i])
		sigs = append(sigs, sk.Sign(bls.Augmented, f.Aggregate.Messages[i]))
	}
	sum, err := bls.Aggregate(sigs)
	if err != nil {
		t.Fatal(err)
	}
	same(t, sigHex(sum), f.Aggregate.Aggregate.String())
	same(t, bls.AggregateVerify(bls.Augmented, keys, msgs, sum), true)

	for _, c := range f.EIP2333 { // the master keys; see TestChiaKeygenSign about children
		same(t, secretHex(keyOf(t, c.Seed)), c.Master.String())
	}
	for tag, want := range f.Hash {
		got := bls.HashToG2([]byte("abcdef0123456789"),
			[]byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_"+tag+"_"))
		same(t, hex.EncodeToString(got[:]), want.String())
	}
	for _, b := range f.NotParsing {
		if _, err := bls.ParsePublicKey(b); !errors.Is(err, bls.ErrEncoding) {
			t.Errorf("key %x: got %v, want %v", []byte(b), err, bls.ErrEncoding)
		}
	}
	vectors.Count(t, "chia/published.json",
		len(f.Keygen)+1+1+len(f.EIP2333)+len(f.Hash)+len(f.NotParsing), len(f.EIP2333)+8)
}
