package module

import "github.com/dig-network/digstore/auth"

// Owned is a store that a push created on a host.
type Owned struct {
	Store auth.StoreID
	Owner auth.PublicKey // the identity of the first push
	Bytes int64          // on the disk
}
