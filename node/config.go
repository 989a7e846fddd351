package node

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/push"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
	"github.com/dig-network/digstore/remote/server"
)

// Version is the default of Config.Version.
const Version = "0.1.0"

// Config is the configuration of a node. Key and Storage are required; everything else may be zero.
type Config struct {
	Key     auth.NodeSigner
	Storage storage.Storage
	// DataDir is the directory of the other files of the node: the snapshot of its index, the state
	// of its tiers, and the datastores that it follows. One node at a time can use it. Empty: these
	// are not stored.
	DataDir string
	Version string // of the program. Default: Version

	// Policy decides what the node accepts from others. nil: selective mode with empty lists, so
	// that only what the owner pushes is accepted.
	Policy *policy.Policy
	// Access decides who may write datastores. nil: the key of the first accepted statement.
	Access push.Access
	// Handles resolves names. nil: there are none.
	Handles api.Handles
	// Peers knows other nodes. nil: there are none.
	Peers api.Peers
	// Rewards has the earnings of the node. nil: unknown.
	Rewards Rewards
	// Facts returns external data about a datastore: its handle, providers, rewards and bribes.
	// nil: none. The node fills in Pinned and Tracked.
	Facts func(ctx context.Context, store auth.StoreID) (tier.Facts, error)

	// Stores are served below /stores/, and their heads also as capsules. nil: there are no such
	// routes. Credential also applies to StoresOptions, unless that has its own.
	Stores        server.Backend
	StoresOptions server.Options

	// Volumes are the directories of plots. Without them there are no plots, and challenges cannot
	// be answered.
	Volumes []tier.Volume
	Cache   cache.Options
	Tiers   tier.Settings
	// Worker computes the work of plots and proofs. nil: on the CPU.
	Worker capsule.Worker
	// Chain verifies the entropy of challenges. nil: it is not verified.
	Chain capsule.Chain
	// Validators are the keys that may ask for proofs. Empty: every key, in full form only.
	Validators  []auth.NodePublicKey
	NoMinimal   bool // refuse challenges in minimal form
	MaxWorkBits int  // default capsule.MaxWorkBits

	// Admin wraps the handler of the admin routes and authorizes requests. nil: there are no admin
	// routes. See api.AdminGate.
	Admin func(http.Handler) http.Handler
	// Credential returns the credential of a push. nil: there are none, and only tracked datastores
	// can be pushed.
	Credential func(r *http.Request) (api.Credential, error)
	// Authenticator checks the identities of pushes. nil: New makes one.
	Authenticator *request.Authenticator
	// Reload handles POST /admin/reload. nil: there is no such route.
	Reload func(ctx context.Context) error
	Limits Limits

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is used
	AdminOrigins   []string       // whose pages may use routes that are not public
	PeerPort       int            // published in /.well-known/dig-node.json; 0: none
	HTTPPort       int

	// Drain is how long the node keeps serving as unready before it stops. Grace is how long
	// requests in progress may take after that. Defaults 0 and 20 s.
	Drain, Grace time.Duration

	Now     func() time.Time  // default time.Now
	Logger  *slog.Logger      // default: discarded
	Observe func(api.Request) // called at the end of every request, for metrics
	// Measures returns measurements of the machine by the program, by the names of the metrics in
	// /node/status, such as cpu_usage. nil: they are unknown.
	Measures func(ctx context.Context) map[string]float64
}

// Limits are the limits of what callers can use.
type Limits struct {
	Callers        api.Limits
	MaxPush        int64 // bytes of a push with its inline data. Default 64 MiB
	MaxReads       int   // capsules read at the same time. Default 64
	MaxChallenges  int   // at the same time; four times as many wait. Default the number of CPUs
	MaxSessions    int   // uploads at the same time. Default 256
	MaxStagedBytes int64 // of all uploads. Default 64 GiB
	UploadRate     int64 // bytes a second to all clients. Default: no limit
	MaxSubscribers int   // of /events. Default 32
	// Idle is how long a client may neither send nor receive a byte. Default 30 s.
	Idle time.Duration
}

// Earnings are sums in DIG.
type Earnings struct{ Total, Bribes, Pending economy.Amount }

// Rewards is a source of the node's earnings. Implementations are safe for concurrent use.
type Rewards interface {
	Totals(ctx context.Context) (Earnings, error)
}

// Errors of a node, besides fs.ErrNotExist.
var (
	// ErrConflict: a push does not follow the head.
	ErrConflict = push.ErrConflict
	// ErrDeclined: the policy declined a push.
	ErrDeclined = errors.New("declined by the policy")
	// ErrUnauthorized: a credential is missing.
	ErrUnauthorized = push.ErrUnauthorized
	// ErrNoSpace: the storage has no room.
	ErrNoSpace = storage.ErrNoSpace
	// ErrCorrupt: every copy of a capsule is damaged.
	ErrCorrupt = tier.ErrCorrupt
	// ErrUnavailable: content that the node holds cannot be read now.
	ErrUnavailable = storage.ErrUnavailable
	// ErrBusy: a limit is reached.
	ErrBusy = push.ErrBusy
	// ErrLocked: another node uses the data directory.
	ErrLocked = diskfs.ErrLocked
	// ErrRunning: Run was called before.
	ErrRunning = errors.New("node has been run")
)

func (c *Config) setDefaults() error {
	switch {
	case c.Key == nil:
		return errors.New("new node: Config.Key is nil")
	case c.Storage == nil:
		return errors.New("new node: Config.Storage is nil")
	}
	if err := c.Key.PublicKey().Check(); err != nil {
		return err
	}
	if c.Version == "" {
		c.Version = Version
	}
	if c.Policy == nil {
		settings, err := policy.Settings{}.Resolve()
		if err != nil {
			return err
		}
		if c.Policy, err = policy.New(settings, nil); err != nil {
			return err
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Limits.MaxChallenges <= 0 {
		c.Limits.MaxChallenges = runtime.NumCPU()
	}
	if c.Grace <= 0 {
		c.Grace = 20 * time.Second
	}
	return nil
}
