package chain

// Trust says whose word it is that spends happened and that no newer one did. Hashes show the rest.
type Trust string

const (
	TrustNode   Trust = "own full node"
	TrustSingle Trust = "single public source"
	TrustQuorum Trust = "several sources that agree"
	TrustPinned Trust = "pinned by configuration"
)

// A Status says what an answer rests on.
type Status string

const (
	StatusAnchored   Status = "anchored"   // read from the chain, and settled
	StatusShallow    Status = "shallow"    // read from the chain, and not settled: it may still vanish
	StatusCached     Status = "cached"     // read from the chain earlier; the source cannot be asked now
	StatusUnanchored Status = "unanchored" // not read from the chain
	StatusMelted     Status = "melted"     // the store was destroyed; this was its last state
)
