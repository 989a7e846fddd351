package server

import "github.com/dig-network/digstore/remote/internal/wire"

// ErrNonFastForward is a push, or a promotion, whose parent is not the head. It is [module.ErrNotHead] seen from the
// network.
//
// [module.ErrNotHead]: https://pkg.go.dev/github.com/dig-network/digstore/digstore/module#ErrNotHead
var ErrNonFastForward = wire.ErrNonFastForward

// DefaultMaxModule is the longest module that a push may bring by default: 1 GiB. Modules are streamed.
const DefaultMaxModule = wire.DefaultMaxModule
