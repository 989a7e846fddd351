package module

import "fmt"

// A Section is the id of a section of the blob (FORMAT.md 5). Readers ignore
// ids that are not named here.
type Section uint16

// The sections of FORMAT.md 5.
const (
	SectionStoreID        Section = 1
	SectionCurrentRoot    Section = 2
	SectionRootHistory    Section = 3
	SectionPublicKey      Section = 4
	SectionTrustedKeys    Section = 5
	SectionMetadata       Section = 6
	SectionAuthInfo       Section = 7
	SectionKeyTable       Section = 8
	SectionChunkPool      Section = 9
	SectionMerkleNodes    Section = 10
	SectionFiller         Section = 11
	SectionChainState     Section = 12
	SectionPublicManifest Section = 13
)

var sectionNames = [...]string{
	SectionStoreID:        "StoreId",
	SectionCurrentRoot:    "CurrentRoot",
	SectionRootHistory:    "RootHistory",
	SectionPublicKey:      "PublicKey",
	SectionTrustedKeys:    "TrustedKeys",
	SectionMetadata:       "Metadata",
	SectionAuthInfo:       "AuthInfo",
	SectionKeyTable:       "KeyTable",
	SectionChunkPool:      "ChunkPool",
	SectionMerkleNodes:    "MerkleNodes",
	SectionFiller:         "Filler",
	SectionChainState:     "ChainState",
	SectionPublicManifest: "PublicManifest",
}

// String returns the number of the section, and its name if it has one.
func (s Section) String() string {
	if int(s) < len(sectionNames) && sectionNames[s] != "" {
		return fmt.Sprintf("section %d, %s", uint16(s), sectionNames[s])
	}
	return fmt.Sprintf("section %d", uint16(s))
}

const (
	blobOffset = 0x200000 // address of the blob in the memory of the module
	blobMagic  = "DIGS"
	blobHeader = 9  // magic, version, u32 number of rows
	blobRow    = 10 // u16 id, u32 offset, u32 length
)

// A byteRange is n bytes from offset off on.
type byteRange struct{ off, n int64 }

func (e byteRange) end() int64 { return e.off + e.n }
