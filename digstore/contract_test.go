package digstore_test

import (
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

// digstore and remote do not import each other; these assertions check that they fit.
var (
	_ remote.Local      = (*digstore.Store)(nil)
	_ remote.Resumer    = (*digstore.Store)(nil)
	_ remote.TrustStore = (*digstore.Store)(nil)
	_ remote.History    = (*digstore.Store)(nil)
	_ remote.KnownKeys  = (*digstore.KnownStores)(nil)
	_ remote.Assembler  = (*digstore.Store)(nil)

	_ server.Backend  = (*digstore.Workspace)(nil)
	_ server.Receiver = (*digstore.Workspace)(nil)
	_ server.Revoker  = (*digstore.Workspace)(nil)
	_ server.Catalog  = (*digstore.Workspace)(nil)
	_ server.Promoter = (*digstore.Workspace)(nil)

	_ server.RecipeBackend = (*digstore.Workspace)(nil)
)
