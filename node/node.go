package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/modules"
	"github.com/dig-network/digstore/node/prove"
	"github.com/dig-network/digstore/node/push"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// A Node keeps and serves capsules. New makes one; its methods are safe for concurrent use.
type Node struct {
	c       Config
	fs      diskfs.FS
	storage storage.Storage  // Config.Storage with the modules of Config.Stores
	modules *modules.Storage // nil: no Config.Stores
	taking  sync.Mutex       // held while a module is added
	tiers   *tier.Tiers
	reader  *reader
	pushes  *push.Manager
	work    capsule.Worker
	prover  *prove.Pipeline
	follow  *follow
	lock    io.Closer // of the data directory; nil: there is none
	hub     *hub
	api     *api.Server
	ops     http.Handler

	ready    chan struct{}
	started  time.Time // monotonic
	ran      atomic.Bool
	indexed  atomic.Bool
	leaving  atomic.Bool // no longer ready
	draining atomic.Bool // requests are refused
	requests sync.WaitGroup
	gate     sync.RWMutex // held for writing while closed is set
	closed   bool

	vitals      vitals
	validations validations
	latency     mean // of requests
	proving     mean // of proofs
}

// New returns a node and starts no goroutine. It opens the files of the node. The node is not ready
// until Run has read its index. The caller must call Run or Close.
func New(ctx context.Context, c Config) (*Node, error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	n := &Node{c: c, fs: diskfs.OS(), ready: make(chan struct{}), started: time.Now(),
		hub: newHub(c.Now, c.Logger)}
	n.work = n.worker()
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.release())
	}
	return n, nil
}

// open opens the files of the node and makes its parts.
func (n *Node) open(ctx context.Context) (err error) {
	if dir := n.c.DataDir; dir != "" {
		if err := diskfs.MkdirAll(n.fs, dir, 0o700); err != nil {
			return err
		}
		if n.lock, err = n.fs.TryLock(filepath.Join(dir, "lock")); err != nil {
			return err
		}
	}
	if n.follow, err = loadFollow(n.fs, n.c.DataDir); err != nil {
		return err
	}
	if err := n.openModules(); err != nil {
		return err
	}
	if n.tiers, err = tier.New(ctx, n.tierConfig()); err != nil {
		return err
	}
	return n.assemble()
}

// release closes what open has opened.
func (n *Node) release() error {
	var errs []error
	if n.tiers != nil {
		errs = append(errs, n.tiers.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// tierConfig returns the configuration of the tiers, with the index as it was saved.
func (n *Node) tierConfig() tier.Config {
	c := tier.Config{Storage: n.storage, Volumes: n.c.Volumes, Key: n.c.Key, Work: n.work,
		Cache: n.c.Cache, Policy: n.c.Policy, Facts: n.facts, Settings: n.c.Tiers, Now: n.c.Now}
	// Sessions discard staged content. A long upload must not lose its first capsules to
	// collection.
	c.Settings.Grace = cmp.Or(c.Settings.Grace, 24*time.Hour)
	if n.c.DataDir == "" {
		return c
	}
	c.StateFile = filepath.Join(n.c.DataDir, "tiers.state")
	saved, err := index.Load(n.fs, n.indexFile())
	switch {
	case err == nil:
		c.Index = saved
	case !errors.Is(err, fs.ErrNotExist):
		n.hub.send(slog.LevelWarn, "node", "index_dropped", map[string]any{"error": err.Error()})
	}
	return c
}

func (n *Node) indexFile() string { return filepath.Join(n.c.DataDir, "index.snapshot") }

// facts returns external data about a datastore.
func (n *Node) facts(ctx context.Context, store auth.StoreID) (tier.Facts, error) {
	var f tier.Facts
	if n.c.Facts != nil {
		var err error
		if f, err = n.c.Facts(ctx, store); err != nil {
			return f, err
		}
	}
	f.Pinned, f.Tracked = n.follow.isPinned(store), n.follow.isTracked(store)
	if n.modules != nil && n.modules.Has(store) {
		f.Tracked = true
	}
	return f, nil
}

// assemble makes the parts that use the tiers.
func (n *Node) assemble() error {
	var err error
	if n.reader, err = newReader(n.tiers); err != nil {
		return err
	}
	if n.pushes, err = n.newPushes(); err != nil {
		return err
	}
	c := &n.c
	o := api.Options{Vitals: n, Reporter: n, Capsules: n.reader, Datastores: n.reader,
		Handles: c.Handles, Peers: c.Peers, Pusher: n.pushes, Events: n, Pinner: n,
		Explainer: n, Maintainer: n,
		Reload: c.Reload, Admin: c.Admin, Credential: c.Credential,
		Authenticator: c.Authenticator, Validators: c.Validators, Limits: c.Limits.Callers,
		TrustedProxies: c.TrustedProxies, AdminOrigins: c.AdminOrigins,
		MaxPush: c.Limits.MaxPush, MaxReads: c.Limits.MaxReads,
		MaxChallenges: (1 + queued) * c.Limits.MaxChallenges, UploadRate: c.Limits.UploadRate,
		MaxSubscribers: c.Limits.MaxSubscribers, Idle: c.Limits.Idle,
		Now: c.Now, Logger: c.Logger, Observe: n.observe,
		Identity: api.Identity{Key: c.Key.PublicKey(), Version: c.Version, PeerPort: c.PeerPort,
			HTTPPort: c.HTTPPort, Capabilities: []string{"storage", "retrieval"}}}
	if len(c.Volumes) > 0 {
		n.prover = n.newProver(n.work)
		o.Challenger, o.Plotter = n, n
		o.Identity.Capabilities = append(o.Identity.Capabilities, "validation")
	}
	if n.c.Stores != nil {
		o.Stores = n.newStores()
	}
	if n.api, err = api.New(o); err != nil {
		return err
	}
	ops := http.NewServeMux()
	ops.Handle("GET /health", n.api)
	ops.Handle("GET /ready", n.api)
	n.ops = ops
	return nil
}

// Ready is closed when the node is ready for the first time.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Ops returns a handler of /health and /ready, for a separate listener.
func (n *Node) Ops() http.Handler { return n.ops }

// ServeHTTP answers the routes of node/PROTOCOL.md.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.gate.RLock()
	if n.closed {
		n.gate.RUnlock()
		n.serveClosed(w, r)
		return
	}
	n.requests.Add(1)
	n.gate.RUnlock()
	defer n.requests.Done()
	n.api.ServeHTTP(w, r)
}

// serveClosed answers when the node has stopped: its API refuses everything but /health and /ready.
func (n *Node) serveClosed(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/stores/") {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	n.api.ServeHTTP(w, r)
}

// saveEvery is the time between two snapshots of the index.
const saveEvery = 10 * time.Minute

// Run runs the node until ctx ends, and returns when everything has stopped: nil after an orderly
// end. It can be called once.
func (n *Node) Run(ctx context.Context) error {
	if !n.ran.CompareAndSwap(false, true) {
		return fmt.Errorf("run node: %w", ErrRunning)
	}
	// The background work continues while requests are drained.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	failed := make(chan error, 2)
	wg.Go(func() { n.forwardTierEvents(work) })
	err := n.load(ctx)
	if err == nil {
		wg.Go(func() {
			if err := n.tiers.Run(work); err != nil {
				failed <- fmt.Errorf("tiers: %w", err)
			}
		})
		wg.Go(func() { n.housekeeping(work) })
		if n.c.Stores != nil {
			wg.Go(func() { n.watchStores(work) })
		}
		n.indexed.Store(true)
		close(n.ready)
		n.hub.send(slog.LevelInfo, "node", "ready", nil)
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	} else if ctx.Err() != nil {
		err = nil
	}
	n.drain()
	stop()
	wg.Wait()
	return errors.Join(err, n.close())
}

// load discards content left by sessions, and reads the index.
func (n *Node) load(ctx context.Context) error {
	if _, err := n.pushes.Recover(ctx); err != nil && ctx.Err() == nil {
		n.hub.send(slog.LevelWarn, "storage", "recovery_failed",
			map[string]any{"error": err.Error()})
	}
	_, err := n.tiers.Refresh(ctx)
	return err
}

// housekeeping runs the periodic tasks until ctx ends.
func (n *Node) housekeeping(ctx context.Context) {
	expire := time.NewTicker(time.Minute)
	defer expire.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-expire.C:
			n.pushes.Expire(ctx)
		case <-save.C:
			n.saveIndex()
		case <-check.C:
			n.check()
		}
	}
}

func (n *Node) saveIndex() {
	if n.c.DataDir == "" || !n.indexed.Load() {
		return
	}
	if err := n.tiers.Index().Save(n.fs, n.indexFile()); err != nil {
		n.hub.send(slog.LevelError, "node", "index_not_saved",
			map[string]any{"error": err.Error()})
	}
}

func (n *Node) forwardTierEvents(ctx context.Context) {
	for e := range n.tiers.Events(ctx) {
		n.hub.tierEvent(e)
	}
}

// drain reports not ready for Config.Drain, then refuses new requests and waits for those in
// progress.
func (n *Node) drain() {
	n.leaving.Store(true)
	n.hub.send(slog.LevelInfo, "node", "draining", nil)
	if n.c.Drain > 0 {
		time.Sleep(n.c.Drain)
	}
	n.draining.Store(true)
	n.gate.Lock()
	n.closed = true
	n.gate.Unlock()
	n.hub.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.requests.Wait()
	}()
	t := time.NewTimer(n.c.Grace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// close closes what New has opened.
func (n *Node) close() error {
	n.api.Close()
	n.pushes.Close(context.Background())
	n.saveIndex()
	return n.release()
}

// Close closes a node on which Run was not called.
func (n *Node) Close() error {
	if !n.ran.CompareAndSwap(false, true) {
		return fmt.Errorf("close node: %w", ErrRunning)
	}
	n.drain()
	return n.close()
}
