package module

import (
	"cmp"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

// AuthInfo is section 7: the requirements for readers. The zero value has none. A
// node that does not check JWTs must not serve the content of a module with
// RequiresJWT (FORMAT.md 5.4).
type AuthInfo struct {
	RequiresSession    bool
	RequiresJWT        bool
	JWKSURL            *string
	AcceptedAlgorithms []string
}

// MarshalBinary returns the encoding of FORMAT.md 5.4.
func (a *AuthInfo) MarshalBinary() ([]byte, error) { return marshal(a) }

// UnmarshalBinary reads the encoding of FORMAT.md 5.4. Any byte but 0 is
// true.
func (a *AuthInfo) UnmarshalBinary(b []byte) error { return unmarshal(b, a) }

func (a *AuthInfo) encode(w *codec.Writer) {
	w.Bool(a.RequiresSession)
	w.Bool(a.RequiresJWT)
	encodeOptionalString(w, a.JWKSURL)
	encodeStrings(w, a.AcceptedAlgorithms)
}

func (a *AuthInfo) decode(r *codec.Reader) {
	*a = AuthInfo{r.U8() != 0, r.U8() != 0, decodeOptionalString(r), decodeStrings(r)}
}

// A TrustedKey is one row of section 5. It has no effect.
type TrustedKey struct {
	PublicKey auth.PublicKey
	Label     string
}

// TrustedLabel returns the usual label of a key in section 5.
func TrustedLabel(k auth.PublicKey) string { return "dig-host-key-v1:" + k.String() }

// TrustedKeys is section 5.
type TrustedKeys []TrustedKey

// MarshalBinary returns the encoding of FORMAT.md 5.2.
func (t *TrustedKeys) MarshalBinary() ([]byte, error) { return marshal(t) }

// UnmarshalBinary reads the encoding of FORMAT.md 5.2.
func (t *TrustedKeys) UnmarshalBinary(b []byte) error { return unmarshal(b, t) }

func (t *TrustedKeys) encode(w *codec.Writer) {
	w.Count(len(*t))
	for _, k := range *t {
		w.Fixed(k.PublicKey[:])
		w.String(k.Label)
	}
}

func (t *TrustedKeys) decode(r *codec.Reader) {
	*t = nil
	for n := r.Count(len(auth.PublicKey{}) + 4); n > 0 && r.Err() == nil; n-- {
		var k TrustedKey
		r.Fixed(k.PublicKey[:])
		k.Label = r.String()
		*t = append(*t, k)
	}
}

// ChainState is section 12: the state of the store on its chain when the module
// was made, as the publisher states it.
type ChainState struct {
	Version         uint8 // 1
	Network         string
	LauncherID      merkle.Hash
	CoinID          merkle.Hash
	ConfirmedHeight uint32
	TxID            string
	CoinsetURL      string
}

// MarshalBinary returns the encoding of FORMAT.md 5.8.
func (c *ChainState) MarshalBinary() ([]byte, error) { return marshal(c) }

// UnmarshalBinary reads the encoding of FORMAT.md 5.8.
func (c *ChainState) UnmarshalBinary(b []byte) error { return unmarshal(b, c) }

func (c *ChainState) encode(w *codec.Writer) {
	w.U8(c.Version)
	w.String(c.Network)
	w.Fixed(c.LauncherID[:])
	w.Fixed(c.CoinID[:])
	w.U32(c.ConfirmedHeight)
	w.String(c.TxID)
	w.String(c.CoinsetURL)
}

func (c *ChainState) decode(r *codec.Reader) {
	*c = ChainState{Version: r.U8(), Network: r.String()}
	r.Fixed(c.LauncherID[:])
	r.Fixed(c.CoinID[:])
	c.ConfirmedHeight = r.U32()
	c.TxID = r.String()
	c.CoinsetURL = r.String()
}

// PublicManifest is section 13: the names of the resources of a public store,
// readable for hosts. The root does not cover it: a name counts only if its
// retrieval key is in the key table.
type PublicManifest struct {
	SchemaVersion uint32 // 1
	Entries       []PublicEntry
}

// A PublicEntry is one name in a PublicManifest.
type PublicEntry struct {
	Path            string
	LatestRoot      merkle.Hash // root of the generation that changed it last
	GenerationIndex uint64      // number of that generation
	SHA256Latest    merkle.Hash // of the plaintext
	VersionCount    uint32
}

// MarshalBinary returns the encoding of FORMAT.md 5.9, entries in the order
// of their paths' bytes.
func (p *PublicManifest) MarshalBinary() ([]byte, error) { return marshal(p) }

// UnmarshalBinary reads the encoding of FORMAT.md 5.9.
func (p *PublicManifest) UnmarshalBinary(b []byte) error { return unmarshal(b, p) }

func (p *PublicManifest) encode(w *codec.Writer) {
	w.U32(p.SchemaVersion)
	w.Count(len(p.Entries))
	sorted := make([]*PublicEntry, len(p.Entries))
	for i := range p.Entries {
		sorted[i] = &p.Entries[i]
	}
	slices.SortStableFunc(sorted, func(a, b *PublicEntry) int { return cmp.Compare(a.Path, b.Path) })
	for _, e := range sorted {
		w.String(e.Path)
		w.Fixed(e.LatestRoot[:])
		w.U64(e.GenerationIndex)
		w.Fixed(e.SHA256Latest[:])
		w.U32(e.VersionCount)
	}
}

func (p *PublicManifest) decode(r *codec.Reader) {
	*p = PublicManifest{SchemaVersion: r.U32()}
	for n := r.Count(4 + 32 + 8 + 32 + 4); n > 0 && r.Err() == nil; n-- {
		e := PublicEntry{Path: r.String()}
		r.Fixed(e.LatestRoot[:])
		e.GenerationIndex = r.U64()
		r.Fixed(e.SHA256Latest[:])
		e.VersionCount = r.U32()
		p.Entries = append(p.Entries, e)
	}
}

// A KeyTableRow is one row of section 8.
type KeyTableRow struct {
	Key          merkle.Hash
	Generation   merkle.Hash // root of the generation
	ChunkIndices []uint32
	TotalSize    uint64 // sealed bytes
}

// MarshalBinary returns the encoding of FORMAT.md 5.5.
func (k *KeyTableRow) MarshalBinary() ([]byte, error) { return marshal(k) }

// UnmarshalBinary reads the encoding of FORMAT.md 5.5.
func (k *KeyTableRow) UnmarshalBinary(b []byte) error { return unmarshal(b, k) }

func (k *KeyTableRow) encode(w *codec.Writer) {
	w.Fixed(k.Key[:])
	w.Fixed(k.Generation[:])
	encodeU32s(w, k.ChunkIndices)
	w.U64(k.TotalSize)
}

func (k *KeyTableRow) decode(r *codec.Reader) {
	*k = KeyTableRow{}
	r.Fixed(k.Key[:])
	r.Fixed(k.Generation[:])
	k.ChunkIndices = decodeU32s(r)
	k.TotalSize = r.U64()
}
