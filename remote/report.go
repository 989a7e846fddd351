package remote

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Report says what a clone or pull did, what was checked, and what it rests on.
type Report struct {
	Store      auth.StoreID
	From       merkle.Hash         // the local head before; zero: there was none
	Root       merkle.Hash         // the local head now
	Generation uint64              // its number
	UpToDate   bool                // nothing new was there
	Installed  []module.Generation // in the order of installation: the newest first, then older ones
	Missing    []Missing           // wanted, and not to be had
	Bytes      int64               // of the modules installed

	Checks     []Check        // that were made and passed, in order
	Publisher  auth.PublicKey // the key in the module of Root
	Basis      Basis          // why it is believed; "" when UpToDate
	KeyProven  bool           // its hash is the store's id
	KeyChanged bool           // it took another one's place
	// Unanchored says that neither an anchor nor a root given confirmed Root: the publisher signed it, but
	// there may be a newer one that this origin does not show.
	Unanchored bool
	// HistoryConfirmed says that the anchor's lineage contains every line up to Root. Without it, lines of
	// generations that are not held are the origin's word (decision 31).
	HistoryConfirmed bool
	NewerHead        merkle.Hash      // the origin's head, when the anchor confirms only an older one (decision 32)
	Tombstones       []auth.Tombstone // valid ones that were new to us; kept where the Local is a Revoker
}

// A Missing is a generation that was wanted and not installed.
type Missing struct {
	module.Generation
	Err error // why: [fs.ErrNotExist], [ErrRevoked], a *VerificationError of CheckETag or CheckLineage
}
