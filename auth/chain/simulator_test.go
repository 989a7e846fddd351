package chain_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// simulatorChallenge is the signature challenge of the network simulator0.
const simulatorChallenge = "eb8c4d20b322be8d9fddbf9412016bdffe9a2901d7edb0e364e94266d0e095f7"

// A simulator is Chia's full node simulator, which farms a block on request.
type simulator struct {
	t      *testing.T
	root   string // its Chia directory
	url    string
	client *http.Client
}

// startSimulator starts a simulator. It installs it in the user's cache directory if necessary.
func startSimulator(t *testing.T) *simulator {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	script, dir := filepath.Join("testdata", "simulator", "run.sh"), filepath.Join(cache,
		"digstore-test", "chia-simulator")
	cmd := exec.CommandContext(t.Context(), script, "start", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("start the simulator: %v", err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command(script, "stop", dir).CombinedOutput(); err != nil {
			t.Errorf("stop the simulator: %v\n%s", err, out)
		}
	})
	lines := strings.Fields(string(out))
	s := &simulator{t: t, root: lines[0], url: "https://localhost:" + lines[1]}
	ssl := filepath.Join(s.root, "config", "ssl")
	pair, err := tls.LoadX509KeyPair(filepath.Join(ssl, "full_node", "private_full_node.crt"),
		filepath.Join(ssl, "full_node", "private_full_node.key"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(ssl, "ca", "private_ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool,
		Certificates: []tls.Certificate{pair}, ServerName: "chia.net"}}}
	t.Cleanup(s.client.CloseIdleConnections)
	for deadline := time.Now().Add(2 * time.Minute); ; { // the services start in the background
		if _, err := s.ask("get_blockchain_state", map[string]any{}); err == nil {
			return s
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

func (s *simulator) ask(method string, request any) (map[string]json.RawMessage, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Post(s.url+"/"+method, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	if string(answer["success"]) != "true" {
		return nil, fmt.Errorf("%s: %s", method, answer["error"])
	}
	return answer, nil
}

func (s *simulator) must(method string, request map[string]any) map[string]json.RawMessage {
	s.t.Helper()
	answer, err := s.ask(method, request)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// farm makes blocks with transactions and sends the rewards to a puzzle.
func (s *simulator) farm(blocks int, to merkle.Hash) {
	s.t.Helper()
	s.must("farm_block", map[string]any{"address": chain.Address(chain.PrefixTestnet, to),
		"blocks": blocks, "guarantee_tx_block": true})
}

// push signs and sends spends, and farms a block with them.
func (s *simulator) push(keys []*auth.Key, spends ...*chain.CoinSpend) {
	s.t.Helper()
	var list []any
	var signatures []*bls.Signature
	for _, sp := range spends {
		list = append(list, map[string]any{
			"coin":          map[string]any{"parent_coin_info": "0x" + sp.Coin.Parent.String(), "puzzle_hash": "0x" + sp.Coin.PuzzleHash.String(), "amount": sp.Coin.Amount},
			"puzzle_reveal": "0x" + hex.EncodeToString(sp.Puzzle), "solution": "0x" + hex.EncodeToString(sp.Solution),
		})
		signatures = append(signatures, s.sign(keys, sp)...)
	}
	sum := append([]byte{0xc0}, make([]byte, bls.SignatureSize-1)...) // of nothing
	if len(signatures) > 0 {
		all, err := bls.Aggregate(signatures)
		if err != nil {
			s.t.Fatal(err)
		}
		b := all.Bytes()
		sum = b[:]
	}
	answer := s.must("push_tx", map[string]any{"spend_bundle": map[string]any{"coin_spends": list,
		"aggregated_signature": "0x" + hex.EncodeToString(sum)}})
	if string(answer["status"]) != `"SUCCESS"` {
		s.t.Fatalf("push_tx: %s", answer["status"])
	}
	s.farm(1, merkle.Hash{1})
}

// sign makes the signatures that a spend requires, each over the message, the coin and the
// network.
func (s *simulator) sign(keys []*auth.Key, sp *chain.CoinSpend) (list []*bls.Signature) {
	s.t.Helper()
	puzzle, err := clvm.Parse(sp.Puzzle, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	solution, err := clvm.Parse(sp.Solution, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	conditions, err := clvm.Run(s.t.Context(), puzzle, solution, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	challenge, _ := hex.DecodeString(simulatorChallenge)
	for c := range conditions.Items() {
		items, _, ok := c.Take(3)
		if !ok {
			continue
		}
		if op, _ := items[0].Int64(); op != 50 { // AGG_SIG_ME
			continue
		}
		key, _ := items[1].Atom()
		message, _ := items[2].Atom()
		id := sp.Coin.ID()
		at := slices.IndexFunc(keys, func(k *auth.Key) bool {
			p := k.PublicKey()
			return string(p[:]) == key
		})
		if at < 0 {
			s.t.Fatalf("the spend of coin %v wants a signature by %x", id, key)
		}
		sig, err := keys[at].Sign(s.t.Context(), slices.Concat([]byte(message), id[:], challenge))
		if err != nil {
			s.t.Fatal(err)
		}
		parsed, err := bls.ParseSignature(sig[:])
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, parsed)
	}
	return list
}

// TestSimulator reads stores from Chia's full node simulator over its RPC, with its
// certificates. Each spend of a chaintest store is also signed and pushed to the node, which
// validates it. It runs with DIG_TEST=real and needs python3.
func TestSimulator(t *testing.T) {
	vectors.NeedReal(t)
	sim := startSimulator(t)
	source, err := chain.NewFullNode(sim.url, sim.root, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	network, err := source.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const settled = 6 // blocks are slow to make
	newResolver := func() *chain.Resolver {
		// the times of its blocks are ahead of the clock
		return chain.NewResolver(source, &chain.Options{Network: network, TipAge: -1,
			SettledDepth: settled, MaxSkew: 24 * time.Hour})
	}
	r := newResolver()
	if _, err := chain.NewResolver(source, nil).Tip(t.Context(), auth.StoreID{1}); !errors.Is(err,
		chain.ErrWrongNetwork) {
		t.Errorf("for mainnet: %v, want ErrWrongNetwork", err)
	}
	if _, err := r.Tip(t.Context(), auth.StoreID{1}); !errors.Is(err, chain.ErrStoreNotFound) {
		t.Errorf("no such store: %v, want ErrStoreNotFound", err)
	}

	// A coin that needs no signature pays for the launcher.
	purse := chaintest.Anyone(int(time.Now().UnixNano() % 1e9))
	sim.farm(1, purse.Hash())
	sim.farm(1, merkle.Hash{1}) // the next block pays the rewards
	coins, err := source.ByPuzzleHash(t.Context(), purse.Hash(), false)
	if err != nil || len(coins) == 0 {
		t.Fatalf("no coin to begin with: %v", err)
	}
	funds, err := r.Balance(t.Context(), purse.Hash(), merkle.Hash{})
	if err != nil || funds.Coins != len(coins) || funds.Amount < coins[0].Coin.Amount ||
		!funds.Verified {
		t.Errorf("balance %+v, %v, want that of %d coins", funds, err, len(coins))
	}

	keys := make([]*auth.Key, 3)
	for i := range keys {
		keys[i] = auth.NewKey([auth.SeedSize]byte{byte(i + 1)})
	}
	owner, writer, second := keys[0], keys[1], keys[2]
	twin := chaintest.New(nil)
	fund := coins[0].Coin
	store := twin.MintFrom(fund.ID(), chain.Metadata{}, chaintest.Standard(owner.PublicKey()))
	spendOf := func(coin merkle.Hash) *chain.CoinSpend {
		t.Helper()
		rec, err := twin.CoinRecord(t.Context(), coin)
		if err != nil || rec == nil || rec.Spent == 0 {
			t.Fatalf("coin %v is not spent: %v", coin, err)
		}
		sp, err := twin.CoinSpend(t.Context(), coin, rec.Spent)
		if err != nil {
			t.Fatal(err)
		}
		return sp
	}
	check := func(what string) {
		t.Helper()
		tip, err := r.Tip(t.Context(), store.ID())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if d := cmp.Diff(*store.State(), tip.State); d != "" {
			t.Errorf("%s: state (-want +got)\n%s", what, d)
		}
		t.Logf("%s: generation %d, root %.8v, block %d, %s, by %s, trust %q", what, tip.Generation,
			tip.Root(), tip.Height, tip.Status, tip.By, tip.Trust)
	}
	launcher := spendOf(merkle.Hash(store.ID()))
	pay := purse.Spend(fund, chaintest.CreateCoin(launcher.Coin.PuzzleHash, 1))
	sim.push(nil, pay, launcher)
	check("mint")
	do := func(what string, step func()) {
		t.Helper()
		coin := store.Coin().ID()
		step()
		sim.push(keys, spendOf(coin))
		check(what)
	}
	deploy := chaintest.Writer(chaintest.Standard(writer.PublicKey()))
	do("update", func() { store.Update(root(1)) })
	do("delegate", func() { store.Delegate(nil, deploy, chaintest.Oracle(root(99), 1000)) })
	do("update by a writer", func() { store.UpdateBy(&deploy, chain.Metadata{Root: root(2)}) })
	role := func(when string, k *auth.Key, want chain.Role, wantErr error) {
		t.Helper()
		if got, err := r.CanWrite(t.Context(), store.ID(), k.PublicKey()); got != want ||
			!errors.Is(err, wantErr) {
			t.Errorf("%s: %v, %v, want %v, %v", when, got, err, want, wantErr)
		}
	}
	role("writer, shallow", writer, chain.RoleWriter, chain.ErrShallow)
	sim.farm(settled, merkle.Hash{1})
	role("writer, settled", writer, chain.RoleWriter, nil)
	do("transfer", func() { store.Transfer(chaintest.Standard(second.PublicKey())) })
	role("former writer, shallow", writer, chain.RoleWriter, nil)
	sim.farm(settled, merkle.Hash{1})
	role("former writer, settled", writer, chain.RoleNone, nil)
	role("former owner, settled", owner, chain.RoleNone, nil)
	role("new owner, settled", second, chain.RoleOwner, nil)

	// A module whose root is on the chain is cloned with the chain as the anchor.
	there := remotetest.NewMemory(store.ID(), nil)
	publish := func(text string) merkle.Hash {
		t.Helper()
		head, err := there.Publish(t.Context(), second, fstest.MapFS{"index.html": {Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		return head.Root
	}
	origin := remotetest.NewOrigin(server.New(remotetest.NewStores(nil, there), nil))
	defer origin.Close()
	client, err := origin.Client(store.ID(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	one := publish("one")
	here := remotetest.NewMemory(store.ID(), nil)
	if _, err := remote.Clone(t.Context(), here, client, remote.Trust{Anchor: r}); !errors.Is(err,
		remote.ErrVerification) {
		t.Errorf("cloned a root that is not on the chain: %v", err)
	}
	do("update to the module", func() { store.Update(one) })
	report, err := remote.Clone(t.Context(), here, client, remote.Trust{Anchor: r})
	if err != nil || report.Root != one || report.Basis != remote.ByAnchor {
		t.Fatalf("clone: %+v, %v", report, err)
	}
	sim.farm(settled, merkle.Hash{1}) // the reorganization below removes only what follows
	do("update that will not last", func() { store.Update(publish("two")) })
	if report, err = remote.Pull(t.Context(), here, client, remote.Trust{Anchor: r}); err != nil ||
		report.Root != store.State().Root() {
		t.Fatalf("pull: %+v, %v", report, err)
	}
	sim.must("reorg_blocks", map[string]any{"num_of_blocks_to_rev": 1, "num_of_new_blocks": 2,
		"random_seed": true})
	tip, err := r.Tip(t.Context(), store.ID())
	if err != nil || tip.Root() != one {
		t.Errorf("after the reorganisation: %+v, %v, want root %v", tip, err, one)
	} else {
		t.Logf("reorganised away: generation %d, root %.8v, block %d of %d", tip.Generation, tip.Root(),
			tip.Height, tip.Peak.Height)
	}
	again := remotetest.NewMemory(store.ID(), nil)
	if report, err = remote.Clone(t.Context(), again, client,
		remote.Trust{Anchor: newResolver()}); err != nil || report.Root != one {
		t.Errorf("clone after the reorganisation: %+v, %v, want root %v", report, err, one)
	}
	if list, err := newResolver().Lineage(t.Context(), store.ID()); err != nil ||
		!slices.Equal(list, []merkle.Hash{root(1), root(2), one}) {
		t.Errorf("lineage after the reorganisation: %v, %v", list, err)
	}
	// The same spend is put in another block; then the store ends.
	sim.push(keys, spendOf(tip.CoinID()))
	check("update, once more")
	coin := store.Coin().ID()
	store.Melt()
	sim.push(keys, spendOf(coin))
	if tip, err := r.Tip(t.Context(), store.ID()); err != nil || tip.Status != chain.StatusMelted {
		t.Errorf("melted: %+v, %v", tip, err)
	}
	if _, err := newResolver().CurrentRoot(context.Background(), store.ID()); !errors.Is(err,
		chain.ErrMelted) {
		t.Errorf("melted: %v, want ErrMelted", err)
	}
}
