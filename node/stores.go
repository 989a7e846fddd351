package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/modules"
	"github.com/dig-network/digstore/node/push"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/remote/server"
)

// openModules adds the modules of Config.Stores to the storage.
func (n *Node) openModules() error {
	n.storage = n.c.Storage
	if n.c.Stores == nil {
		return nil
	}
	o := modules.Options{Storage: n.c.Storage, Backend: n.c.Stores}
	if n.c.DataDir != "" {
		o.Dir = filepath.Join(n.c.DataDir, "modules")
	}
	var err error
	if n.modules, err = modules.New(o); err != nil {
		return err
	}
	n.storage = n.modules.View()
	return nil
}

// newStores returns the handler of /stores/.
func (n *Node) newStores() *server.Server {
	o := n.c.StoresOptions
	if o.Credential == nil && n.c.Credential != nil {
		o.Credential = func(r *http.Request) (string, error) {
			c, err := n.c.Credential(r)
			return c.Name, err
		}
	}
	if o.Now == nil {
		o.Now = n.c.Now
	}
	if o.Logger == nil {
		o.Logger = n.c.Logger
	}
	if o.TrustedProxies == nil {
		o.TrustedProxies = n.c.TrustedProxies
	}
	authorize, received := o.Authorize, o.Received
	o.Authorize = func(
		ctx context.Context, who auth.PublicKey, op request.Op, store auth.StoreID,
	) error {
		if op == request.Push || op == request.PushInit || op == request.PushComplete {
			if err := n.mayTakeModule(ctx, store); err != nil {
				return err
			}
		}
		if authorize == nil {
			return nil
		}
		return authorize(ctx, who, op, store)
	}
	o.Received = func(ctx context.Context, r server.Received) error {
		err := n.received(ctx, r)
		if received != nil {
			err = errors.Join(err, received(ctx, r))
		}
		return err
	}
	return server.New(n.c.Stores, &o)
}

// mayTakeModule refuses modules of a datastore that was pushed as capsules.
func (n *Node) mayTakeModule(ctx context.Context, store auth.StoreID) error {
	_, err := n.c.Storage.Generation(ctx, store, merkle.Hash{})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("module of store %v, which was pushed as capsules: %w", store,
		auth.ErrForbidden)
}

// refuses returns an error if the node does not accept pushes of capsules of a datastore.
func (n *Node) refuses(_ context.Context, store auth.StoreID, _ merkle.Hash) error {
	if n.modules != nil && n.modules.Has(store) {
		return fmt.Errorf("push of capsules of store %v, which is served from modules: %w", store,
			push.ErrConflict)
	}
	return nil
}

// received serves a received module as capsules, and removes revoked content.
func (n *Node) received(ctx context.Context, r server.Received) error {
	switch {
	case r.Event == server.EventRevocation:
		return n.revoked(ctx, r.Store, r.Root)
	case r.Pending:
		return nil
	}
	return n.takeModule(ctx, r.Store, r.Root)
}

// revoked stops serving a module, or all modules of a datastore, as capsules.
func (n *Node) revoked(ctx context.Context, store auth.StoreID, module merkle.Hash) error {
	var root merkle.Hash
	if !module.IsZero() {
		var err error
		root, err = n.modules.Root(store, module)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was never served as capsules
		}
		if err != nil {
			return err
		}
	}
	return n.tiers.Revoke(ctx, store, root)
}

// takeModule serves a module as capsules. If the module is the head in the backend, it becomes the
// head.
func (n *Node) takeModule(ctx context.Context, store auth.StoreID, module merkle.Hash) error {
	n.taking.Lock()
	defer n.taking.Unlock()
	head, err := n.c.Stores.Head(ctx, store)
	if err != nil {
		return err
	}
	now := n.c.Now()
	m, err := n.modules.Describe(ctx, store, module, now)
	if err != nil {
		return err
	}
	meta, err := storage.Meta{Origin: storage.Module, Received: uint64(now.Unix())}.Encode()
	if err != nil {
		return err
	}
	n.modules.Expect(m, module, now)
	g := &storage.Generation{Manifest: m, Meta: meta, Head: head.Root == module}
	if err := n.tiers.Commit(ctx, g); err != nil {
		return err
	}
	n.committed(ctx, g)
	return nil
}

// reconcileEvery is the time between two runs of reconcile.
const reconcileEvery = time.Minute

// reconcile adds heads of stores that were not received by this process, for example while the node
// was stopped.
func (n *Node) reconcile(ctx context.Context) {
	lister, ok := n.c.Stores.(server.Catalog)
	if !ok {
		return
	}
	for store, err := range lister.Stores(ctx) {
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = n.reconcileStore(ctx, store)
		}
		if err != nil && ctx.Err() == nil {
			n.hub.send(slog.LevelWarn, "storage", "module_not_served", map[string]any{
				"datastore_id": "0x" + store.String(), "error": err.Error()})
		}
	}
}

func (n *Node) reconcileStore(ctx context.Context, store auth.StoreID) error {
	head, err := n.c.Stores.Head(ctx, store)
	if err != nil || head.Root.IsZero() {
		return err
	}
	if known, _, err := n.modules.Head(store); err == nil && known == head.Root {
		return nil
	}
	if n.mayTakeModule(ctx, store) != nil {
		return nil
	}
	err = n.takeModule(ctx, store, head.Root)
	if errors.Is(err, auth.ErrRevoked) || errors.Is(err, fs.ErrNotExist) {
		return nil // revoked, or not held
	}
	return err
}

// watchStores runs reconcile at the start and then periodically.
func (n *Node) watchStores(ctx context.Context) {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	for {
		n.reconcile(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
