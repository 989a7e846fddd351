package chain

// Trust says which kind of source confirms that spends happened and that there is no newer one.
// Hashes prove the rest.
type Trust string

const (
	TrustNode   Trust = "own full node"
	TrustSingle Trust = "single public source"
	TrustQuorum Trust = "several sources that agree"
	TrustPinned Trust = "pinned by configuration"
)

// A Status says how an answer was obtained.
type Status string

const (
	StatusAnchored Status = "anchored" // read from the chain, and settled
	// read from the chain, not settled: a reorganization can remove it
	StatusShallow Status = "shallow"
	// read from the chain earlier; the source is unavailable now
	StatusCached     Status = "cached"
	StatusUnanchored Status = "unanchored" // not read from the chain
	StatusMelted     Status = "melted"     // the store was destroyed; this is its last state
)
