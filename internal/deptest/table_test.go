package deptest_test

// ours is the import path of the module. In the table it is left out.
const ours = "github.com/dig-network/digstore"

// A row says what one package may import.
type row struct {
	pkg   string   // without the module path; "examples/..." stands for all below
	house []string // packages of ours that it may name
	third []string // third-party packages that it may bring; "p/..." with all below
	http  bool     // it may bring net/http
}

// Groups of third-party packages.
var (
	// circl without cgo
	blst = []string{"github.com/supranational/blst/bindings/go", "github.com/cloudflare/circl/..."}
	// what urn and module bring
	sealed = append([]string{"golang.org/x/sys/cpu", "golang.org/x/crypto/chacha20"}, blst...)
	onDisk = []string{"github.com/gofrs/flock", "golang.org/x/sys/..."}
	worker = []string{"golang.org/x/sync/..."}
	lru    = []string{"github.com/hashicorp/golang-lru/v2/..."}
	zstd   = []string{"github.com/klauspost/compress/zstd"}
	store  = join(sealed, onDisk, worker, zstd, []string{"github.com/BurntSushi/toml"})
	client = join(sealed, worker, zstd) // what a client brings
	wire   = join(client, []string{"golang.org/x/time/rate"})
	plots  = join(blst, worker, zstd, []string{"github.com/pierrec/lz4/v4"})
	daemon = join(wire, plots, lru, []string{"google.golang.org/protobuf/...",
		"github.com/hashicorp/yamux"})
	metrics = []string{"github.com/prometheus/...", "github.com/beorn7/perks/quantile",
		"github.com/cespare/xxhash/v2", "github.com/munnerz/goautoneg", "google.golang.org/protobuf/...",
		"golang.org/x/sys/..."}
	screen = []string{"github.com/spf13/cobra/...", "github.com/spf13/pflag",
		"github.com/vbauerster/mpb/v8/...", "golang.org/x/term", "go.yaml.in/yaml/v3"}
)

// table has every package and no other, lowest floor first: a row names only
// packages of rows above it.
var table = []row{
	{pkg: ""},

	// What needs nothing of ours.
	{pkg: "internal/vectors"},
	{pkg: "internal/corpus"},
	{pkg: "internal/docs"},
	{pkg: "internal/metamorphic", house: []string{"internal/corpus"}},
	{pkg: "internal/regular"},
	{pkg: "internal/deptest"},
	{pkg: "internal/codec"},
	{pkg: "internal/wasm"},
	{pkg: "internal/cdc"},
	{pkg: "internal/clvm"},
	{pkg: "internal/strictjson"},
	{pkg: "internal/backoff"},
	{pkg: "internal/oneline"},
	{pkg: "internal/netguard"},
	{pkg: "internal/gcmsiv", third: []string{"golang.org/x/sys/cpu"}},
	{pkg: "internal/mkdirall"},
	{pkg: "internal/secretfile"},
	{pkg: "internal/diskfs", house: []string{"internal/mkdirall", "internal/regular"}, third: onDisk},
	{pkg: "internal/bls", third: blst},
	{pkg: "merkle"},
	{pkg: "internal/readerat", house: []string{"merkle"}},

	{pkg: "auth", house: []string{"internal/mkdirall", "internal/bls", "internal/codec", "internal/secretfile", "merkle"}, third: blst},
	{pkg: "auth/password"},
	{pkg: "auth/request", house: []string{"auth", "internal/bls", "merkle", "internal/codec"}, third: join(blst, lru), http: true},
	{pkg: "auth/chain/internal/puzzle", house: []string{"merkle", "internal/clvm"}},
	{pkg: "auth/chain", house: []string{"auth", "auth/chain/internal/puzzle", "merkle", "internal/backoff", "internal/bls", "internal/clvm", "internal/codec", "internal/diskfs", "internal/regular", "internal/strictjson"}, third: join(blst, lru, onDisk, worker), http: true},
	{pkg: "auth/request/noncefile", house: []string{"auth/request", "auth", "internal/diskfs", "internal/bls", "merkle", "internal/codec"}, third: join(blst, lru, onDisk), http: true},
	{pkg: "auth/chain/spend", house: []string{"auth", "auth/chain", "auth/chain/internal/puzzle", "merkle", "internal/bls", "internal/clvm"}, third: join(blst, lru, onDisk, worker), http: true},
	{pkg: "auth/chain/chaintest", house: []string{"auth", "auth/chain", "auth/chain/internal/puzzle", "merkle", "internal/bls", "internal/clvm", "internal/codec", "internal/diskfs", "internal/strictjson"}, third: join(blst, lru, onDisk, worker), http: true},

	{pkg: "capsule/internal/workhash"},
	{pkg: "capsule", house: []string{"internal/regular", "capsule/internal/workhash", "auth", "merkle", "internal/codec", "internal/diskfs", "internal/strictjson"}, third: join(blst, onDisk, worker)},
	{pkg: "capsule/cache", house: []string{"capsule", "auth", "merkle", "internal/diskfs"}, third: join(blst, lru, onDisk, worker)},
	{pkg: "capsule/cuda", house: []string{"capsule", "capsule/internal/workhash", "merkle"}, third: join(blst, onDisk, []string{"github.com/ebitengine/purego/..."})},
	{pkg: "capsule/capsuletest", house: []string{"capsule", "auth", "merkle", "internal/corpus"}, third: join(blst, onDisk, worker)},
	{pkg: "digstore/urn", house: []string{"auth", "merkle", "internal/codec", "internal/gcmsiv"}, third: sealed},
	{pkg: "digstore/module", house: []string{"digstore/urn", "auth", "merkle", "internal/cdc", "internal/codec", "internal/wasm"}, third: sealed},

	{pkg: "plot", house: []string{"internal/regular", "capsule", "auth", "merkle", "internal/codec", "internal/diskfs"}, third: join(plots, onDisk)},
	{pkg: "digstore/internal/damage", house: []string{"digstore/module"}, third: sealed},
	{pkg: "digstore/internal/pack", house: []string{"digstore/internal/damage", "digstore/module", "merkle"}, third: sealed},
	{pkg: "digstore/internal/packdir", house: []string{"digstore/internal/damage", "digstore/internal/pack", "digstore/module", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/ignore"},
	{pkg: "digstore/internal/scan", house: []string{"digstore/internal/ignore", "internal/regular"}, third: []string{"golang.org/x/sync/...", "golang.org/x/sys/..."}},
	{pkg: "digstore/internal/recipefile", house: []string{"digstore/internal/damage", "digstore/module", "merkle", "internal/codec"}, third: join(sealed, zstd)},
	{pkg: "digstore/internal/rootlog", house: []string{"digstore/internal/damage", "digstore/module", "merkle"}, third: sealed},
	{pkg: "digstore/internal/history", house: []string{"digstore/internal/damage", "digstore/internal/rootlog", "digstore/module", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/journal", house: []string{"digstore/internal/pack", "digstore/module", "merkle"}, third: sealed},
	{pkg: "digstore/internal/incoming", house: []string{"digstore/internal/journal", "digstore/internal/pack", "digstore/internal/packdir", "digstore/module", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/names"},
	{pkg: "digstore/internal/filestamp"},
	{pkg: "digstore/internal/smallfile", house: []string{"internal/diskfs"}, third: onDisk},
	{pkg: "digstore/internal/evidence", house: []string{"merkle", "internal/diskfs"}, third: onDisk},
	{pkg: "digstore/internal/pinfile", house: []string{"digstore/internal/damage", "digstore/internal/smallfile", "digstore/module", "auth", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/sigdir", house: []string{"digstore/internal/damage", "digstore/internal/smallfile", "auth", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/publishing", house: []string{"digstore/internal/smallfile", "merkle", "internal/diskfs"}, third: onDisk},
	{pkg: "digstore/internal/statindex", house: []string{"digstore/internal/scan", "merkle", "internal/diskfs"}, third: join(onDisk, worker)},
	{pkg: "digstore/internal/sealer", house: []string{"digstore/internal/scan", "digstore/module", "digstore/urn", "auth", "merkle", "internal/cdc", "internal/regular"}, third: store},
	{pkg: "digstore/internal/staging", house: []string{"digstore/internal/damage", "digstore/internal/filestamp", "digstore/module", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/tombdir", house: []string{"digstore/internal/damage", "digstore/internal/filestamp", "digstore/internal/smallfile", "auth", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/recipedir", house: []string{"digstore/internal/damage", "digstore/internal/recipefile", "digstore/module", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/namedir", house: []string{"digstore/internal/damage", "digstore/internal/names", "digstore/module", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/legacy", house: []string{"digstore/internal/damage", "digstore/internal/filestamp", "digstore/internal/packdir", "digstore/internal/smallfile", "digstore/module", "auth",
		"merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/keydir", house: []string{"digstore/internal/damage", "digstore/internal/legacy", "auth", "internal/diskfs", "internal/secretfile"}, third: store},
	{pkg: "digstore/internal/pending", house: []string{"digstore/internal/damage", "digstore/internal/incoming", "digstore/internal/packdir", "digstore/internal/recipefile",
		"digstore/internal/smallfile", "digstore/module", "auth", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/storedir", house: []string{"digstore/internal/damage", "digstore/internal/evidence", "digstore/internal/history", "digstore/internal/incoming", "digstore/internal/legacy",
		"digstore/internal/namedir", "digstore/internal/pack", "digstore/internal/packdir", "digstore/internal/pending", "digstore/internal/pinfile", "digstore/internal/publishing", "digstore/internal/recipedir", "digstore/internal/recipefile", "digstore/internal/sigdir", "digstore/internal/tombdir", "digstore/module", "digstore/urn", "auth", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore/internal/receive", house: []string{"digstore/internal/history", "digstore/internal/incoming", "digstore/internal/packdir", "digstore/internal/pending", "digstore/internal/storedir",
		"digstore/module", "auth", "merkle"}, third: store},
	{pkg: "digstore/internal/gc", house: []string{"digstore/internal/damage", "digstore/internal/history", "digstore/internal/incoming", "digstore/internal/namedir", "digstore/internal/recipedir",
		"digstore/internal/storedir", "digstore/module", "merkle", "internal/diskfs"}, third: store},
	{pkg: "digstore", house: []string{"digstore/internal/evidence", "digstore/internal/filestamp", "digstore/internal/gc", "digstore/internal/history", "digstore/internal/incoming",
		"digstore/internal/keydir", "digstore/internal/namedir", "digstore/internal/packdir", "digstore/internal/receive", "digstore/internal/rootlog", "digstore/internal/scan",
		"digstore/internal/sealer", "digstore/internal/smallfile", "digstore/internal/staging", "digstore/internal/statindex", "digstore/internal/storedir", "digstore/internal/tombdir", "digstore/module", "digstore/urn",
		"auth", "merkle", "internal/cdc", "internal/diskfs", "internal/regular", "internal/secretfile"}, third: store},
	{pkg: "remote/internal/wire", house: []string{"internal/oneline", "digstore/module", "auth/request", "auth", "merkle", "internal/strictjson"}, third: join(sealed, zstd), http: true},
	{pkg: "remote/internal/multisource", house: []string{"remote/internal/wire", "digstore/module", "merkle"}, third: join(sealed, zstd), http: true},
	{pkg: "remote", house: []string{"internal/oneline", "remote/internal/multisource", "remote/internal/wire", "digstore/module", "digstore/urn", "auth/request", "auth", "merkle", "internal/backoff", "internal/netguard",
		"internal/readerat", "internal/strictjson"}, third: client, http: true},
	{pkg: "remote/discovery", house: []string{"remote", "remote/internal/wire", "internal/strictjson"}, third: client, http: true},
	{pkg: "remote/bandwidth", third: []string{"golang.org/x/time/rate"}},
	{pkg: "remote/server", house: []string{"remote/internal/wire", "digstore/module", "digstore/urn", "auth/request", "auth", "merkle", "internal/codec", "internal/netguard",
		"internal/readerat", "internal/strictjson"}, third: join(wire, lru), http: true},
	{pkg: "remote/internal/jsonrpc", house: []string{"auth", "merkle"}, third: blst},
	{pkg: "remote/rpc", house: []string{"remote", "remote/internal/jsonrpc", "remote/internal/wire", "digstore/module", "digstore/urn", "auth", "merkle", "internal/backoff", "internal/strictjson"}, third: client, http: true},
	{pkg: "remote/server/rpc", house: []string{"internal/readerat", "remote/server", "remote/rpc", "remote/internal/wire", "remote/internal/jsonrpc", "digstore/module", "digstore/urn", "auth", "merkle", "internal/strictjson"},
		third: join(wire, lru), http: true},
	{pkg: "remote/conform", house: []string{"internal/oneline", "remote", "remote/internal/wire", "remote/rpc", "digstore/module", "digstore/urn", "auth/request", "auth", "merkle", "internal/backoff", "internal/strictjson"}, third: join(wire, lru), http: true},
	{pkg: "remote/remotetest", house: []string{"remote", "remote/server", "remote/internal/wire", "internal/corpus", "digstore/module", "digstore/urn", "auth/request", "auth", "merkle"}, third: join(wire, lru), http: true},

	{pkg: "node/economy"},
	{pkg: "node/client", house: []string{"capsule", "auth/request", "auth", "merkle", "internal/backoff", "internal/netguard", "internal/oneline", "internal/strictjson"}, third: join(blst, lru, onDisk, worker), http: true},
	{pkg: "node/policy", house: []string{"node/economy", "internal/strictjson"}},
	{pkg: "node/policy/scorer", house: []string{"node/policy", "node/economy", "internal/strictjson"}, third: lru, http: true},
	{pkg: "node/storage", house: []string{"capsule", "auth", "merkle", "internal/codec", "internal/diskfs"}, third: join(blst, onDisk, worker)},
	{pkg: "node/index", house: []string{"node/storage", "plot", "capsule", "auth", "merkle", "internal/codec", "internal/diskfs"}, third: join(plots, onDisk)},
	{pkg: "node/tier/internal/state", house: []string{"node/storage", "node/index", "auth", "merkle", "internal/diskfs"}, third: join(plots, onDisk)},
	{pkg: "node/tier", house: []string{"node/tier/internal/state", "node/storage", "node/index", "node/policy", "node/economy", "plot", "capsule", "capsule/cache", "auth", "merkle", "internal/diskfs"},
		third: join(plots, lru, onDisk)},
	{pkg: "node/prove", house: []string{"capsule"}, third: join(blst, onDisk, worker)},
	{pkg: "node/push", house: []string{"node/storage", "node/policy", "capsule", "auth", "merkle"}, third: join(blst, onDisk, worker)},
	{pkg: "node/api", house: []string{"node/push", "node/storage", "remote/server", "capsule", "auth/request", "auth", "merkle", "internal/strictjson"}, third: join(wire, lru, onDisk), http: true},
	{pkg: "node/modules", house: []string{"node/storage", "remote/server", "capsule", "auth", "merkle", "internal/diskfs"}, third: join(wire, lru, onDisk), http: true},
	{pkg: "node", house: []string{"node/api", "node/modules", "node/prove", "node/push", "node/tier", "node/index", "node/policy", "node/economy", "node/storage", "remote/server", "plot", "capsule", "capsule/cache",
		"auth/request", "auth", "merkle", "internal/diskfs", "internal/strictjson"}, third: join(daemon, onDisk), http: true},
	{pkg: "node/files", house: []string{"node", "node/api", "node/economy", "node/push", "auth", "internal/regular", "internal/strictjson"}, third: join(daemon, onDisk), http: true},
	{pkg: "node/prom", house: []string{"node/api", "node/economy"}, third: join(wire, lru, onDisk, metrics), http: true},
	{pkg: "node/nodetest", house: []string{"node/storage", "capsule", "capsule/capsuletest", "auth", "merkle", "internal/corpus"}, third: join(blst, onDisk, worker)},

	{pkg: "internal/scripttest"},
	{pkg: "examples/dig-node/internal/config", house: []string{"auth", "auth/password", "internal/netguard", "internal/regular", "node/economy", "node/policy", "node/policy/scorer"},
		third: join(blst, lru, []string{"go.yaml.in/yaml/v3"}), http: true},
	{pkg: "examples/dig-node/internal/keyfile", house: []string{"auth", "internal/mkdirall", "internal/regular", "internal/secretfile"}, third: blst},
	{pkg: "examples/dig-node/internal/nodelog", house: []string{"internal/oneline", "internal/regular"}},
	{pkg: "examples/dig-node/internal/machine", house: []string{"node/prom"}, third: join(wire, lru, onDisk, metrics), http: true},
	{pkg: "examples/dig-node", house: []string{"examples/dig-node/internal/config", "examples/dig-node/internal/keyfile", "examples/dig-node/internal/machine", "examples/dig-node/internal/nodelog",
		"auth", "auth/chain", "auth/password", "auth/request", "auth/request/noncefile", "digstore", "remote/server", "capsule", "capsule/cache", "internal/diskfs", "internal/oneline", "internal/regular", "internal/secretfile", "merkle", "node", "node/api", "node/client",
		"node/economy", "node/files", "node/policy", "node/policy/scorer", "node/prom", "node/push", "node/storage", "node/tier", "plot"},
		third: join(daemon, store, lru, screen, metrics, []string{"github.com/coreos/go-systemd/v22/daemon"}), http: true},
	{pkg: "examples/...", house: []string{"internal/oneline", "auth", "auth/request", "auth/request/noncefile", "auth/chain", "capsule", "capsule/cache", "capsule/capsuletest",
		"digstore", "digstore/module", "digstore/urn", "node", "node/client", "node/storage", "plot", "remote", "remote/bandwidth", "remote/discovery", "remote/server", "remote/server/rpc", "remote/rpc", "remote/conform", "remote/remotetest", "merkle", "internal/diskfs", "internal/regular"},
		third: join(store, wire, daemon, lru, screen, []string{"github.com/coder/websocket", "github.com/prometheus/client_golang/...", "github.com/ebitengine/purego"}), http: true},
}

// siblings do not import each other, not even through others.
var siblings = []string{"plot", "digstore", "remote"}

// testLibraries are what tests may import besides what their package may. No
// other code imports them.
var testLibraries = []string{
	"github.com/google/go-cmp/...", "github.com/rogpeppe/go-internal/testscript", "go.uber.org/goleak", "pgregory.net/rapid",
}

// testPackages are packages of ours that exist for tests: only they may import
// package testing outside of tests, and only tests and they import each other.
var testPackages = []string{"internal/vectors", "internal/docs", "auth/chain/chaintest",
	"remote/remotetest", "capsule/capsuletest", "node/nodetest"}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
