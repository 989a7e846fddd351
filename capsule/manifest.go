package capsule

import (
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Manifest lists the capsules of one generation of a datastore. Its JSON form is that of
// GET /datastore/{id}/manifest.
type Manifest struct {
	Store    auth.StoreID
	Root     merkle.Hash  // the capsule root: the root over the leaves of Capsules
	Created  uint64       // Unix seconds
	Capsules []Descriptor // Capsules[i].Index is i

	// What follows may be zero: not known.
	Parent     merkle.Hash    // the capsule root of the generation before
	Generation uint64         // counts generations of the datastore
	Signature  auth.Signature // of the root statement: see Statement
	Writer     auth.PublicKey // the key of Signature; zero means the owner's
}

// ManifestError says which member of a manifest is wrong. It matches ErrManifest.
type ManifestError struct {
	Member string // as in "capsules[3].size"; empty: the text as a whole
	Err    error
}

// Error implements error.
func (e *ManifestError) Error() string {
	if e.Member == "" {
		return fmt.Sprintf("%v: %v", ErrManifest, e.Err)
	}
	return fmt.Sprintf("%v: member %s: %v", ErrManifest, e.Member, e.Err)
}

// Is reports whether target is ErrManifest.
func (e *ManifestError) Is(target error) bool { return target == ErrManifest }

// Unwrap returns Err.
func (e *ManifestError) Unwrap() error { return e.Err }

// Size returns the sum of the capsule sizes in bytes.
func (m *Manifest) Size() uint64 {
	var n uint64
	for _, d := range m.Capsules {
		n += uint64(d.Size)
	}
	return n
}

// Complete reports whether every capsule has its chunk root. Only then does Check compute the
// root, and only then can the manifest check proofs.
func (m *Manifest) Complete() bool {
	for _, d := range m.Capsules {
		if d.ChunkRoot.IsZero() {
			return false
		}
	}
	return true
}

// Check returns nil when m is consistent: at least one capsule, indices 0, 1, 2 and so on, and,
// when m is Complete, leaves that fold to Root. It says nothing about whether Root is to be
// trusted. Errors are *ManifestError.
func (m *Manifest) Check() error {
	if len(m.Capsules) == 0 {
		return &ManifestError{"capsule_count", fmt.Errorf("found 0 capsules, expected at least 1")}
	}
	for i, d := range m.Capsules {
		if uint64(d.Index) != uint64(i) {
			return &ManifestError{fmt.Sprintf("capsules[%d].index", i),
				fmt.Errorf("found %d, expected %d", d.Index, i)}
		}
	}
	if m.Complete() {
		if root := m.root(); root != m.Root {
			return &ManifestError{"merkle_root", fmt.Errorf("found %v, capsules fold to %v", m.Root,
				root)}
		}
	}
	return nil
}

// root returns the root over the capsule leaves. It holds those of one group at
// a time; the size of a group is a power of two, so that the roots of the groups
// fold to the root of the whole.
func (m *Manifest) root() merkle.Hash {
	const group = 1024
	var roots, leaves []merkle.Hash
	for i := 0; i < len(m.Capsules); i += group {
		leaves = leaves[:0]
		for _, d := range m.Capsules[i:min(i+group, len(m.Capsules))] {
			leaves = append(leaves, d.Leaf())
		}
		roots = append(roots, merkle.Root(leaves))
	}
	return merkle.Root(roots)
}

func (m *Manifest) leaves() []merkle.Hash {
	leaves := make([]merkle.Hash, len(m.Capsules))
	for i, d := range m.Capsules {
		leaves[i] = d.Leaf()
	}
	return leaves
}

// Tree returns the tree over the capsule leaves. Its proofs are those of the header
// X-Merkle-Proof, in the encoding of merkle.Proof. It is of use only when m is Complete.
func (m *Manifest) Tree() *merkle.Tree { return merkle.NewTree(m.leaves()) }

// Prove returns the proof of capsule i under Root. For more than one proof a Tree is cheaper.
func (m *Manifest) Prove(i uint32) (merkle.Proof, error) {
	if !m.Complete() {
		return merkle.Proof{}, &ManifestError{"chunk_root",
			fmt.Errorf("prove capsule %d: chunk roots are missing", i)}
	}
	return m.Tree().Prove(int(i))
}

// Ref returns the reference of capsule i.
func (m *Manifest) Ref(i uint32) Ref { return Ref{Store: m.Store, Root: m.Root, Index: i} }

// CheckProof returns nil when p shows that d is the capsule d.Index among count capsules under
// root, by the one path shape of that place. The root must be trusted by other means. Errors
// wrap ErrPath.
func (d Descriptor) CheckProof(p merkle.Proof, root merkle.Hash, count uint32) error {
	if err := p.CheckAt(d.Leaf(), root, int64(d.Index), int64(count)); err != nil {
		return fmt.Errorf("%w: capsule %d of %d: %w", ErrPath, d.Index, count, err)
	}
	return nil
}
