package server

import (
	"errors"

	"github.com/dig-network/digstore/remote/internal/wire"
)

// Errors of [Server.Receive] and [Server.Promote].
var (
	// ErrNonFastForward is a push or a promotion whose parent is not the head. It corresponds to
	// [module.ErrNotHead].
	//
	// [module.ErrNotHead]:
	// https://pkg.go.dev/github.com/dig-network/digstore/digstore/module#ErrNotHead
	ErrNonFastForward = wire.ErrNonFastForward
	// ErrVerification is a module or a declaration that is malformed or fails a check.
	ErrVerification = wire.ErrVerification
	// ErrTooLarge is a module that is longer than [Options].MaxModule.
	ErrTooLarge = wire.ErrTooLarge
	// ErrUnavailable is a push that is refused now and may be retried later.
	ErrUnavailable = errors.New("remote: temporarily unavailable")
)

// DefaultMaxModule is the default of [Options].MaxModule: 1 GiB. Modules are streamed.
const DefaultMaxModule = wire.DefaultMaxModule
