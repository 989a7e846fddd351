package server

import (
	"errors"

	"github.com/dig-network/digstore/remote/internal/wire"
)

// Errors of [Server.Receive] and [Server.Promote].
var (
	// ErrNonFastForward is a push, or a promotion, whose parent is not the head. It is
	// [module.ErrNotHead] seen from the network.
	//
	// [module.ErrNotHead]:
	// https://pkg.go.dev/github.com/dig-network/digstore/digstore/module#ErrNotHead
	ErrNonFastForward = wire.ErrNonFastForward
	// ErrVerification is a module, or what is said of it, that is malformed or fails a check.
	ErrVerification = wire.ErrVerification
	// ErrTooLarge is a module that is longer than [Options].MaxModule.
	ErrTooLarge = wire.ErrTooLarge
	// ErrUnavailable is a push that cannot be taken now: it may be taken later.
	ErrUnavailable = errors.New("remote: temporarily unavailable")
)

// DefaultMaxModule is the longest module that a push may bring by default: 1 GiB. Modules are
// streamed.
const DefaultMaxModule = wire.DefaultMaxModule
