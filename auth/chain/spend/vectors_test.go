package spend_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// A spendCase is a case of chain-spend-*.json.
type spendCase struct {
	Name    string
	Network string
	Keys    map[string]struct {
		Secret vectors.Hex    `json:"secret_key"`
		Public auth.PublicKey `json:"public_key"`
	}
	Setup []vectorBundle
	Given struct {
		Coins []vectorInput
		Store *vectorStore
		Along []chain.CoinSpend
	}
	Op   string
	Args struct {
		By          string
		Key         string
		Minter      string
		Form        string
		SignWith    string      `json:"sign_with"`
		Root        merkle.Hash `json:"root_hash"`
		Label       *string
		Description *string
		Bytes       *uint64
		SizeProof   *string          `json:"size_proof"`
		Owner       merkle.Hash      `json:"owner_puzzle_hash"`
		NewOwner    merkle.Hash      `json:"new_owner_puzzle_hash"`
		Delegates   []vectorDelegate `json:"delegated_puzzles"`
		Fee         uint64
		Assert      []merkle.Hash `json:"assert_coin_ids"`
		Outputs     []struct {
			PuzzleHash merkle.Hash `json:"puzzle_hash"`
			Amount     uint64
			Memos      []vectors.Hex
		}
		Asset      merkle.Hash `json:"asset_id"`
		To         merkle.Hash
		Store      auth.StoreID `json:"store_id"`
		Amount     uint64
		Conditions vectors.Hex
	}
	Expect spendExpect
}

type spendExpect struct {
	Error     string
	Spends    []chain.CoinSpend `json:"coin_spends"`
	Signature auth.Signature    `json:"aggregated_signature"`
	Store     *vectorStore
	Melted    bool
	BundleID  merkle.Hash  `json:"bundle_id"`
	Made      []chain.Coin `json:"additions"`
	Fee       uint64
	Cost      uint64
	Signed    []vectorMessage
	Consensus string
	Chosen    []int // of coins, in TestDriver
	Built     *struct {
		Spends    []chain.CoinSpend `json:"coin_spends"`
		Signature auth.Signature    `json:"aggregated_signature"`
		Consensus string
	}
}

type vectorBundle struct {
	Spends    []chain.CoinSpend `json:"coin_spends"`
	Signature auth.Signature    `json:"aggregated_signature"`
}

type vectorMessage struct {
	Key     auth.PublicKey `json:"public_key"`
	Message vectors.Hex
}

// A vectorInput is a coin, or a coin of an asset with its lineage.
type vectorInput struct {
	chain.Coin
	Asset   *chain.Coin
	Lineage vectorLineage
}

func (v *vectorInput) UnmarshalJSON(text []byte) error {
	var asset struct {
		Coin    *chain.Coin
		Lineage vectorLineage
	}
	if err := json.Unmarshal(text, &asset); err != nil {
		return err
	}
	if asset.Coin != nil {
		v.Asset, v.Lineage = asset.Coin, asset.Lineage
		return nil
	}
	return v.Coin.UnmarshalJSON(text)
}

type vectorLineage struct {
	Parent merkle.Hash `json:"parent_parent_coin_info"`
	Inner  merkle.Hash `json:"parent_inner_puzzle_hash"`
	Amount uint64      `json:"parent_amount"`
}

type vectorDelegate struct {
	Type    string
	Inner   merkle.Hash `json:"inner_puzzle_hash"`
	Payment merkle.Hash `json:"payment_puzzle_hash"`
	Fee     uint64
}

func (d vectorDelegate) delegate() chain.Delegate {
	role := map[string]chain.Role{"admin": chain.RoleAdmin, "writer": chain.RoleWriter,
		"oracle": chain.RoleOracle}[d.Type]
	hash := d.Inner
	if role == chain.RoleOracle {
		hash = d.Payment
	}
	return chain.Delegate{Role: role, Puzzle: hash, Fee: d.Fee}
}

func delegates(list []vectorDelegate) []chain.Delegate {
	var out []chain.Delegate
	for _, d := range list {
		out = append(out, d.delegate())
	}
	return out
}

type vectorStore struct {
	ID       auth.StoreID `json:"launcher_id"`
	Coin     chain.Coin
	CoinID   merkle.Hash   `json:"coin_id"`
	Lineage  vectorLineage `json:"lineage_proof"`
	Metadata struct {
		Root        merkle.Hash `json:"root_hash"`
		Label       *string
		Description *string
		Bytes       *uint64
		SizeProof   *string `json:"size_proof"`
	}
	Owner     merkle.Hash      `json:"owner_puzzle_hash"`
	Delegates []vectorDelegate `json:"delegated_puzzles"`
}

func (v *vectorStore) store() *spend.Store {
	m := v.Metadata
	return &spend.Store{ID: v.ID, Coin: v.Coin, Owner: v.Owner, Delegates: delegates(v.Delegates),
		Metadata: chain.Metadata{Root: m.Root, Label: m.Label, Description: m.Description,
			Bytes: m.Bytes, SizeProof: m.SizeProof},
		Lineage: spend.Lineage{Parent: v.Lineage.Parent, Inner: v.Lineage.Inner,
			Amount: v.Lineage.Amount}}
}

// network returns the network of that name.
func network(t testing.TB, name string) spend.Network {
	t.Helper()
	for _, n := range []spend.Network{spend.Mainnet(), spend.Testnet11(), spend.Simulator()} {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("unknown network %q", name)
	return spend.Network{}
}

// vectorErrors are the words of the vectors.
func vectorErrors() map[string]error {
	return map[string]error{
		"no_coins": spend.ErrNoCoins, "insufficient_funds": spend.ErrInsufficientFunds,
		"too_many_coins": spend.ErrTooManyCoins, "amount_overflow": spend.ErrAmount,
		"not_a_delegate": spend.ErrNotDelegate, "wrong_key": spend.ErrWrongKey,
		"not_permitted": spend.ErrNotPermitted, "no_oracle": spend.ErrNoOracle,
		"odd_oracle_fee": spend.ErrOddFee, "empty_delegates_by_admin": spend.ErrEmptyDelegates,
		"missing_key": spend.ErrMissingKey, "invalid_bundle": spend.ErrInvalidBundle,
		"fee_over_limit": spend.ErrFeeOverLimit, "bad_address": spend.ErrAddress,
	}
}

func (c *spendCase) inputs() []spend.Input {
	key := cmp.Or(c.Args.Minter, c.Args.Key)
	var list []spend.Input
	for _, in := range c.Given.Coins {
		list = append(list, spend.Input{Coin: in.Coin, Key: c.Keys[key].Public})
	}
	return list
}

func (c *spendCase) role() chain.Role {
	return map[string]chain.Role{"owner": chain.RoleOwner, "admin": chain.RoleAdmin,
		"writer": chain.RoleWriter}[c.Args.By]
}

func (c *spendCase) metadata() chain.Metadata {
	a := &c.Args
	return chain.Metadata{Root: a.Root, Label: a.Label, Description: a.Description, Bytes: a.Bytes,
		SizeProof: a.SizeProof}
}

// build does the operation of the case.
func (c *spendCase) build(t *testing.T, d *spend.Draft) (*spend.Store, error) {
	t.Helper()
	a := &c.Args
	key := c.Keys[a.Key].Public
	var before *spend.Store
	if c.Given.Store != nil {
		before = c.Given.Store.store()
	}
	switch c.Op {
	case "mint":
		form := map[string]spend.MemoForm{"driver": spend.FormDriver, "dig": spend.FormDIG}[a.Form]
		return d.Mint(spend.Mint{Payer: c.inputs(), Owner: a.Owner, Delegates: delegates(a.Delegates),
			Metadata: c.metadata(), Fee: a.Fee, Form: form})
	case "update_metadata":
		m := c.metadata()
		return d.Change(before, spend.Change{By: c.role(), Key: key, Metadata: &m})
	case "update_ownership":
		return d.Change(before, spend.Change{By: c.role(), Key: key,
			Ownership: &spend.Ownership{Owner: a.NewOwner, Delegates: delegates(a.Delegates)}})
	case "melt":
		return nil, d.Melt(before, key, before.ID)
	case "oracle":
		return d.Oracle(before, spend.OracleSpend{Payer: c.inputs(), Fee: a.Fee})
	case "fee":
		return nil, d.Fee(spend.Fee{Payer: c.inputs(), Amount: a.Fee, Assert: a.Assert})
	case "send":
		send := spend.Send{Payer: c.inputs(), Fee: a.Fee}
		for _, out := range a.Outputs {
			o := spend.Output{PuzzleHash: out.PuzzleHash, Amount: out.Amount}
			for _, m := range out.Memos {
				o.Memos = append(o.Memos, m)
			}
			send.Outputs = append(send.Outputs, o)
		}
		return nil, d.Send(send)
	case "dig_payment":
		p := spend.Payment{Key: key, Asset: a.Asset, To: a.To, Store: a.Store, Amount: a.Amount}
		for _, in := range c.Given.Coins {
			p.Coins = append(p.Coins, spend.AssetCoin{Coin: *in.Asset, Lineage: spend.Lineage{
				Parent: in.Lineage.Parent, Inner: in.Lineage.Inner, Amount: in.Lineage.Amount}})
		}
		return nil, d.Pay(p)
	}
	t.Fatalf("unknown operation %q", c.Op)
	return nil, nil
}

// signer signs with the keys of a case, or with one of them.
func (c *spendCase) signer(t *testing.T) func(spend.Message) (auth.Signature, error) {
	t.Helper()
	var secrets [][]byte
	for name, k := range c.Keys {
		if c.Args.SignWith == "" || c.Args.SignWith == name {
			secrets = append(secrets, k.Secret)
		}
	}
	return signer(t, secrets...)
}

// signer signs with those secret keys. A message of another key is ErrMissingKey.
func signer(t testing.TB, secrets ...[]byte) func(spend.Message) (auth.Signature, error) {
	t.Helper()
	keys := map[auth.PublicKey]*bls.SecretKey{}
	for _, s := range secrets {
		k, err := bls.ParseSecretKey(s)
		if err != nil {
			t.Fatal(err)
		}
		keys[k.PublicKey().Bytes()] = k
	}
	return func(m spend.Message) (auth.Signature, error) {
		k := keys[m.Key]
		if k == nil {
			return auth.Signature{}, spend.ErrMissingKey
		}
		return k.Sign(bls.Augmented, m.Bytes).Bytes(), nil
	}
}

// run builds, checks and signs the case.
func (c *spendCase) run(t *testing.T) (*spend.Plan, *chain.Bundle, *spend.Store, error) {
	t.Helper()
	d := spend.NewDraft(network(t, c.Network))
	store, err := c.build(t, d)
	if err != nil {
		return nil, nil, nil, err
	}
	plan, err := d.Plan(t.Context(), &spend.Limits{MaxPayment: c.Args.Amount})
	if err != nil {
		return nil, nil, nil, err
	}
	sum, err := spend.Sign(plan.Messages, c.signer(t))
	if err != nil {
		return plan, nil, nil, err
	}
	bundle, err := plan.Bundle(sum)
	return plan, bundle, store, err
}

// TestSpendVectors builds the bundles of the reference: spends, signature and id byte for byte.
func TestSpendVectors(t *testing.T) {
	for _, name := range []string{"mint", "mint-dig", "update", "delegate", "transfer", "melt",
		"oracle", "fee", "dig-payment"} {
		t.Run(name, func(t *testing.T) {
			var file struct{ Cases []spendCase }
			vectors.Load(t, "chain-spend-"+name+".json", &file)
			for i := range file.Cases {
				c := &file.Cases[i]
				t.Run(c.Name, c.check)
			}
			vectors.Count(t, "chain-spend-"+name+".json", len(file.Cases), 0)
		})
	}
}

func (c *spendCase) check(t *testing.T) {
	for i, b := range c.Setup {
		effects, err := spend.Run(t.Context(), network(t, c.Network), b.Spends)
		if err == nil {
			err = spend.Verify(effects.Messages, b.Signature)
		}
		if err != nil {
			t.Errorf("bundle %d, which the network accepted before: %v", i, err)
		}
	}
	if c.Expect.Error != "" {
		c.checkError(t)
		return
	}
	if len(c.Given.Along) > 0 {
		c.checkAlong(t)
		return
	}
	plan, bundle, store, err := c.run(t)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(c.Expect.Spends, bundle.Spends); d != "" {
		t.Fatalf("spends (-want +got)\n%s", d)
	}
	c.checkResult(t, plan, bundle)
	if (c.Expect.Store == nil) != (store == nil) {
		t.Fatalf("store %v, want %v", store, c.Expect.Store)
	}
	if store != nil {
		want := c.Expect.Store.store()
		if d := gocmp.Diff(want.State(), store.State()); d != "" || store.Lineage != want.Lineage ||
			store.Coin.ID() != c.Expect.Store.CoinID {
			t.Errorf("store after (-want +got)\n%s\nlineage %v, want %v", d, store.Lineage, want.Lineage)
		}
	}
}

// checkResult compares what the reference says of a bundle.
func (c *spendCase) checkResult(t *testing.T, plan *spend.Plan, bundle *chain.Bundle) {
	t.Helper()
	want := c.Expect
	if bundle.Signature != want.Signature || bundle.ID() != want.BundleID || plan.Fee != want.Fee {
		t.Errorf("signature %v, id %v, fee %d; want %v, %v, %d", bundle.Signature, bundle.ID(),
			plan.Fee, want.Signature, want.BundleID, want.Fee)
	}
	byID := func(a, b chain.Coin) int { return a.ID().Compare(b.ID()) }
	if got := slices.SortedFunc(slices.Values(plan.Made), byID); !slices.Equal(got,
		slices.SortedFunc(slices.Values(want.Made), byID)) {
		t.Errorf("coins made: %v, want %v", got, want.Made)
	}
	if plan.Cost < want.Cost || plan.Cost > want.Cost+want.Cost/5 {
		t.Errorf("cost estimate %d, want %d to a fifth more", plan.Cost, want.Cost)
	}
	if len(plan.Messages) != len(want.Signed) {
		t.Fatalf("%d messages, want %d", len(plan.Messages), len(want.Signed))
	}
	for i, m := range plan.Messages {
		if m.Key != want.Signed[i].Key || !bytes.Equal(m.Bytes, want.Signed[i].Message) {
			t.Errorf("message %d: %x by %v, want %v", i, m.Bytes, m.Key, want.Signed[i])
		}
	}
}

func (c *spendCase) checkError(t *testing.T) {
	t.Helper()
	want := vectorErrors()[c.Expect.Error]
	if want == nil {
		t.Fatalf("unknown error %q", c.Expect.Error)
	}
	_, _, _, err := c.run(t)
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	for name, e := range vectorErrors() {
		if errors.Is(err, e) && e != want {
			t.Errorf("error %v is also %s", err, name)
		}
	}
	// What the driver builds all the same is refused by the network, or shown for what it is.
	b := c.Expect.Built
	if b == nil || b.Consensus == "" {
		return
	}
	effects, err := spend.Run(t.Context(), network(t, c.Network), b.Spends)
	if err == nil {
		err = spend.Verify(effects.Messages, b.Signature)
	}
	if (err == nil) != (b.Consensus == "accepted") {
		t.Errorf("the driver's bundle: %v, want %s", err, b.Consensus)
	}
}

// checkAlong checks a fee beside other spends. The payer's spends depend on the others only by
// the coins that are asserted.
func (c *spendCase) checkAlong(t *testing.T) {
	t.Helper()
	d := spend.NewDraft(network(t, c.Network))
	if _, err := c.build(t, d); err != nil {
		t.Fatal(err)
	}
	spends := slices.Concat(c.Given.Along, d.Spends())
	if d := gocmp.Diff(c.Expect.Spends, spends[len(c.Given.Along):]); d != "" {
		t.Fatalf("spends (-want +got)\n%s", d)
	}
	effects, err := spend.Run(t.Context(), network(t, c.Network), spends)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := spend.Sign(effects.Messages, c.signer(t))
	if err != nil {
		t.Fatal(err)
	}
	c.checkResult(t, &spend.Plan{Fee: effects.Fee, Made: effects.Made, Cost: effects.Cost,
		Messages: effects.Messages}, &chain.Bundle{Spends: spends, Signature: sum})
}
