package chain

// Trust is the kind of source that confirms that spends happened and that there is no newer
// spend. Hashes prove the rest.
type Trust string

const (
	TrustNode   Trust = "own full node"
	TrustSingle Trust = "single public source"
	TrustQuorum Trust = "several sources that agree"
	TrustPinned Trust = "pinned by configuration"
)

// A Status is how an answer was obtained.
type Status string

const (
	StatusAnchored Status = "anchored" // read from the chain, and settled
	// StatusShallow: read from the chain, not settled: a reorganization can remove it
	StatusShallow Status = "shallow"
	// StatusCached: read from the chain earlier; the source is unavailable now
	StatusCached     Status = "cached"
	StatusUnanchored Status = "unanchored" // not read from the chain
	StatusMelted     Status = "melted"     // the store was destroyed; this is its last state
)
