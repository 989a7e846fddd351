package module

import "github.com/dig-network/digstore/auth"

// Owned is a store that a push has brought to a host.
type Owned struct {
	Store auth.StoreID
	Owner auth.PublicKey // the identity of the first push
	Bytes int64          // that it takes on the disk
}
