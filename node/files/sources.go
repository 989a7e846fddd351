package files

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/push"
)

// storeID is the id of a datastore in a file.
type storeID auth.StoreID

// UnmarshalText reads 64 hexadecimal digits, with or without 0x.
func (s *storeID) UnmarshalText(text []byte) error {
	id, err := auth.ParseStoreID(strings.TrimPrefix(string(text), "0x"))
	*s = storeID(id)
	return err
}

// seconds is a time in a file.
type seconds int64

// maxSeconds is the last second of the year 9999.
const maxSeconds = 253402300799

func (s seconds) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0)
}

func (s seconds) check(name string) error {
	if s < 0 || s > maxSeconds {
		return fmt.Errorf("%s: found %d, expected Unix seconds from 0 to %d", name, s, int64(maxSeconds))
	}
	return nil
}

func missing(name string) error { return fmt.Errorf("%s is missing", name) }

// Access is a push.Access from a file: it has the keys that may write datastores. It is safe for
// concurrent use. OpenAccess makes one.
type Access struct{ *follower[*accessTable] }

var _ push.Access = (*Access)(nil)

// OpenAccess reads a file of access.
func OpenAccess(path string, o *Options) (*Access, error) {
	f, err := open(path, func() *accessTable { return &accessTable{m: map[auth.StoreID]writers{}} }, o)
	if err != nil {
		return nil, err
	}
	return &Access{f}, nil
}

// writers are the keys that may write one datastore.
type writers struct {
	owner  auth.PublicKey
	others []auth.PublicKey
}

type accessTable struct{ m map[auth.StoreID]writers }

func (t *accessTable) add(entry []byte) error {
	var e struct {
		Store   *storeID         `json:"datastore_id"`
		Owner   auth.PublicKey   `json:"owner"`
		Writers []auth.PublicKey `json:"writers"`
	}
	if err := decode(entry, &e); err != nil {
		return err
	}
	switch {
	case e.Store == nil:
		return missing("datastore_id")
	case e.Owner.IsZero():
		return missing("owner")
	}
	store := auth.StoreID(*e.Store)
	if _, twice := t.m[store]; twice {
		return fmt.Errorf("datastore %v is given twice", store)
	}
	for _, key := range append([]auth.PublicKey{e.Owner}, e.Writers...) {
		if _, err := auth.NewVerifier(key); err != nil {
			return err
		}
	}
	t.m[store] = writers{e.Owner, e.Writers}
	return nil
}

// MayWrite implements push.Access.
func (a *Access) MayWrite(_ context.Context, store auth.StoreID, key auth.PublicKey) error {
	w, ok := a.get().m[store]
	switch {
	case !ok:
		return fmt.Errorf("writers of datastore %v: %w", store, fs.ErrNotExist)
	case key == w.owner || slices.Contains(w.others, key):
		return nil
	}
	return fmt.Errorf("key %v is no writer of datastore %v: %w", key, store, auth.ErrForbidden)
}

// Owner implements push.Access.
func (a *Access) Owner(_ context.Context, store auth.StoreID) (auth.PublicKey, error) {
	w, ok := a.get().m[store]
	if !ok {
		return auth.PublicKey{}, fmt.Errorf("owner of datastore %v: %w", store, fs.ErrNotExist)
	}
	return w.owner, nil
}

// Handles has the names of datastores, from a file. It is an api.Handles, and safe for concurrent
// use. OpenHandles makes one.
type Handles struct{ *follower[*handleTable] }

var _ api.Handles = (*Handles)(nil)

// OpenHandles reads a file of handles.
func OpenHandles(path string, o *Options) (*Handles, error) {
	f, err := open(path, func() *handleTable {
		return &handleTable{names: map[string]api.Handle{}, stores: map[auth.StoreID][]string{}}
	}, o)
	if err != nil {
		return nil, err
	}
	return &Handles{f}, nil
}

type handleTable struct {
	names  map[string]api.Handle
	stores map[auth.StoreID][]string
}

const maxMetadata = 16 << 10 // bytes

// validName matches valid handles.
var validName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

func (t *handleTable) add(entry []byte) error {
	var e struct {
		Name       string          `json:"handle"`
		Store      *storeID        `json:"datastore_id"`
		Tier       int             `json:"tier"`
		Registered seconds         `json:"registration_time"`
		Expires    seconds         `json:"expires_at"`
		Metadata   json.RawMessage `json:"metadata"`
	}
	if err := decode(entry, &e); err != nil {
		return err
	}
	name := strings.TrimSuffix(e.Name, ".dig")
	tier := cmp.Or(e.Tier, int(economy.TierOf(name)))
	meta := string(e.Metadata)
	switch {
	case !validName.MatchString(name):
		return fmt.Errorf("handle: found %.80q, expected 1 to 63 of a to z, 0 to 9 and -", e.Name)
	case e.Store == nil:
		return missing("datastore_id")
	case tier < 1 || tier > int(economy.MaxTier):
		return fmt.Errorf("tier: found %d, expected 1 to %d", e.Tier, economy.MaxTier)
	case len(meta) > maxMetadata || meta != "" && meta != "null" && meta[0] != '{':
		return fmt.Errorf("metadata: expected an object of at most %d bytes", maxMetadata)
	}
	if err := e.Registered.check("registration_time"); err != nil {
		return err
	}
	if err := e.Expires.check("expires_at"); err != nil {
		return err
	}
	if _, twice := t.names[name]; twice {
		return fmt.Errorf("handle %q is given twice", name)
	}
	h := api.Handle{Name: name, Store: auth.StoreID(*e.Store), Tier: tier,
		Registered: time.Unix(int64(e.Registered), 0), Expires: e.Expires.time()}
	if meta != "null" {
		h.Metadata = []byte(meta)
	}
	t.names[name] = h
	t.stores[h.Store] = append(t.stores[h.Store], name)
	return nil
}

// Resolve implements api.Handles. If the handle is not registered yet or has expired, the error is
// fs.ErrNotExist.
func (h *Handles) Resolve(_ context.Context, name string) (*api.Handle, error) {
	found, ok := h.get().names[name]
	if !ok || !valid(found, h.opt.Now()) {
		return nil, fmt.Errorf("handle %q: %w", name, fs.ErrNotExist)
	}
	found.Metadata = slices.Clone(found.Metadata)
	return &found, nil
}

func valid(h api.Handle, now time.Time) bool {
	return !now.Before(h.Registered) && (h.Expires.IsZero() || now.Before(h.Expires))
}

// Best returns the name of a datastore with the best tier, and of several the first in the file. A
// datastore without a valid handle has tier 0.
func (h *Handles) Best(store auth.StoreID) (name string, tier economy.Tier) {
	t := h.get()
	for _, one := range t.stores[store] {
		found := t.names[one]
		if valid(found, h.opt.Now()) && economy.Tier(found.Tier).Better(tier) {
			name, tier = one, economy.Tier(found.Tier)
		}
	}
	return name, tier
}

// Rewards has the earnings of the node, from a ledger. It is a node.Rewards, and safe for
// concurrent use. OpenRewards makes one.
//
// The kinds of entries are: reward, a sum that was earned; bribe, a sum that was paid for holding a
// datastore; pending, the sum that is not claimed yet, where the last entry counts; expected, the
// reward of a datastore for each day, where its last entry counts.
type Rewards struct{ *follower[*ledger] }

var _ node.Rewards = (*Rewards)(nil)

// OpenRewards reads a ledger.
func OpenRewards(path string, o *Options) (*Rewards, error) {
	f, err := open(path, func() *ledger {
		return &ledger{expected: map[auth.StoreID]economy.Amount{}, hours: map[int64]economy.Amount{}}
	}, o)
	if err != nil {
		return nil, err
	}
	return &Rewards{f}, nil
}

type ledger struct {
	total    node.Earnings
	expected map[auth.StoreID]economy.Amount
	hours    map[int64]economy.Amount // earned in each of the last hours
	last     int64                    // hour of the newest entry
}

const (
	hour     = 3600
	keepHour = 48 // hours before the newest that are kept
)

func (l *ledger) add(entry []byte) error {
	var e struct {
		Time   seconds         `json:"time"`
		Kind   string          `json:"kind"`
		Amount *economy.Amount `json:"amount"`
		Store  *storeID        `json:"datastore_id"`
		Note   string          `json:"note"`
	}
	if err := decode(entry, &e); err != nil {
		return err
	}
	if e.Amount == nil {
		return missing("amount")
	}
	if *e.Amount < 0 {
		return fmt.Errorf("amount: found %v, expected at least 0", *e.Amount)
	}
	if err := e.Time.check("time"); err != nil {
		return err
	}
	switch e.Kind {
	case "reward":
		l.total.Total = l.total.Total.Plus(*e.Amount)
		l.earned(int64(e.Time)/hour, *e.Amount)
	case "bribe":
		l.total.Bribes = l.total.Bribes.Plus(*e.Amount)
		l.earned(int64(e.Time)/hour, *e.Amount)
	case "pending":
		l.total.Pending = *e.Amount
	case "expected":
		if e.Store == nil {
			return missing("datastore_id")
		}
		l.expected[auth.StoreID(*e.Store)] = *e.Amount
	default:
		return fmt.Errorf("kind: found %.40q, expected reward, bribe, pending or expected", e.Kind)
	}
	return nil
}

// earned adds a sum to an hour, and drops hours older than keepHour.
func (l *ledger) earned(at int64, sum economy.Amount) {
	if at > l.last {
		l.last = at
	}
	if at > l.last-keepHour {
		l.hours[at] = l.hours[at].Plus(sum)
	}
	if len(l.hours) > 2*keepHour {
		for h := range l.hours {
			if h <= l.last-keepHour {
				delete(l.hours, h)
			}
		}
	}
}

// Totals implements node.Rewards.
func (r *Rewards) Totals(context.Context) (node.Earnings, error) { return r.get().total, nil }

// Expected returns the reward of a datastore for each day, or false if it is unknown.
func (r *Rewards) Expected(store auth.StoreID) (reward economy.Amount, known bool) {
	reward, known = r.get().expected[store]
	return reward, known
}

// LastDay returns what was earned in the last 24 hours, in whole hours.
func (r *Rewards) LastDay() economy.Amount {
	now := r.opt.Now().Unix() / hour
	var sum economy.Amount
	for h, earned := range r.get().hours {
		if h > now-24 && h <= now {
			sum = sum.Plus(earned)
		}
	}
	return sum
}

// Bribes has offers to pay for holding datastores, from a file. It is safe for concurrent use.
// OpenBribes makes one.
type Bribes struct{ *follower[*offers] }

// OpenBribes reads a file of offers.
func OpenBribes(path string, o *Options) (*Bribes, error) {
	f, err := open(path, func() *offers { return &offers{map[auth.StoreID][]economy.Bribe{}} }, o)
	if err != nil {
		return nil, err
	}
	return &Bribes{f}, nil
}

// Limits of offers.
const (
	maxOffers = 100 // for one datastore
	maxList   = 100 // balances or regions of one offer
)

type offers struct {
	m map[auth.StoreID][]economy.Bribe
}

func (t *offers) add(entry []byte) error {
	var e struct {
		Store            *storeID                  `json:"datastore_id"`
		Distributor      string                    `json:"distributor"`
		RewardPerTB      economy.Amount            `json:"reward_per_tb"`
		Balances         map[string]economy.Amount `json:"balances"`
		MinConsolidation float64                   `json:"min_consolidation"`
		Regions          []string                  `json:"regions"`
		MaxLatency       float64                   `json:"max_latency_ms"`
		MinUptime        float64                   `json:"min_uptime"`
		Distributed      economy.Amount            `json:"distributed"`
		LastDistribution seconds                   `json:"last_distribution"`
	}
	if err := decode(entry, &e); err != nil {
		return err
	}
	switch {
	case e.Store == nil:
		return missing("datastore_id")
	case e.Distributor == "" || len(e.Distributor) > 256:
		return fmt.Errorf("distributor: %d bytes, expected 1 to 256", len(e.Distributor))
	case e.RewardPerTB < 0 || e.Distributed < 0:
		return fmt.Errorf("reward_per_tb %v, distributed %v, expected at least 0", e.RewardPerTB,
			e.Distributed)
	case !share(e.MinConsolidation):
		return fmt.Errorf("min_consolidation: found %v, expected 0 to 1", e.MinConsolidation)
	case !share(e.MinUptime):
		return fmt.Errorf("min_uptime: found %v, expected 0 to 1", e.MinUptime)
	case !(e.MaxLatency >= 0 && e.MaxLatency <= math.MaxUint32):
		return fmt.Errorf("max_latency_ms: found %v, expected 0 to %d", e.MaxLatency, uint32(math.MaxUint32))
	case len(e.Regions) > maxList || len(e.Balances) > maxList:
		return fmt.Errorf("%d regions and %d balances, expected at most %d", len(e.Regions),
			len(e.Balances), maxList)
	}
	if err := e.LastDistribution.check("last_distribution"); err != nil {
		return err
	}
	store := auth.StoreID(*e.Store)
	if len(t.m[store]) == maxOffers {
		return fmt.Errorf("more than %d offers for datastore %v", maxOffers, store)
	}
	t.m[store] = append(t.m[store], economy.Bribe{Datastore: economy.ID(store), Address: e.Distributor,
		Balances: e.Balances, RewardPerTB: e.RewardPerTB, MinConsolidation: e.MinConsolidation,
		Regions: e.Regions, MaxLatency: time.Duration(e.MaxLatency * float64(time.Millisecond)),
		MinUptime: e.MinUptime, Distributed: e.Distributed, LastDistribution: e.LastDistribution.time()})
	return nil
}

func share(f float64) bool { return f >= 0 && f <= 1 }

// Offers returns the offers for a datastore. The caller does not change them.
func (b *Bribes) Offers(_ context.Context, store auth.StoreID) ([]economy.Bribe, error) {
	return b.get().m[store], nil
}
