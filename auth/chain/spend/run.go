package spend

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Effects is what spends do by the rules of the network.
type Effects struct {
	Fee      uint64       // what the spent coins have more than the made ones
	Made     []chain.Coin // in the order of the spends, then of their conditions
	Messages []Message    // to be signed, in the same order
	Cost     uint64       // an estimate: see Cost
}

// A Message is a message that a key has to sign. The signature is that of the augmented scheme,
// as auth.Key.Sign makes it.
type Message struct {
	Coin merkle.Hash // id of the coin whose puzzle asks for it
	Key  auth.PublicKey
	// Opcode is that of the condition: 50 for a message that is bound to the coin and to the
	// network. Plans have no others.
	Opcode byte
	Bytes  []byte
}

// Limits of Run.
const (
	MaxBundleBytes = 1 << 20 // of all puzzles and solutions
	MaxSpends      = 1000
	maxSteps       = 200_000 // of each puzzle; a store's takes less than 10,000
	maxMemory      = 16 << 20
	maxConditions  = 1024 // announcements, and assertions of them, in each spend
)

// Run runs the spends and applies the rules of the network to what they return, as far as that is
// possible without the chain. It does not check that the coins exist. An error that wraps
// [ErrInvalidBundle] means that the network would refuse the spends, or that they use something
// that this package does not know. The other errors are those of the context.
//
// Signatures are listed and not checked: see [Verify]. SPENDS.md section 7.1 lists the rules.
func Run(ctx context.Context, network Network, spends []chain.CoinSpend) (*Effects, error) {
	r := &run{network: network, spent: map[merkle.Hash]bool{}, made: map[chain.Coin]bool{},
		said: map[merkle.Hash]bool{}}
	if len(spends) == 0 || len(spends) > MaxSpends {
		return nil, invalid("%d spends, want 1 to %d", len(spends), MaxSpends)
	}
	size := 0
	for i := range spends {
		size += len(spends[i].Puzzle) + len(spends[i].Solution)
	}
	if size > MaxBundleBytes {
		return nil, invalid("%d bytes of puzzles and solutions, want at most %d", size, MaxBundleBytes)
	}
	for i := range spends {
		if err := r.spend(ctx, &spends[i]); err != nil {
			return nil, fmt.Errorf("spend %d of coin %v: %w", i, spends[i].Coin.ID(), err)
		}
	}
	if err := r.settle(); err != nil {
		return nil, err
	}
	r.effects.Cost = Cost(spends, len(r.effects.Messages), len(r.effects.Made))
	if r.effects.Cost > MaxCost {
		return nil, invalid("estimated cost %d, want at most %d", r.effects.Cost, uint64(MaxCost))
	}
	return &r.effects, nil
}

// A run collects what the spends of one bundle do.
type run struct {
	network Network
	effects Effects
	spent   map[merkle.Hash]bool
	made    map[chain.Coin]bool
	said    map[merkle.Hash]bool // ids of announcements
	heard   []merkle.Hash        // ids of announcements that are asserted
	beside  []merkle.Hash        // ids of coins whose spend is asserted
	in, out uint128
	reserve uint128 // sum of the fees that are asserted

	coin          chain.Coin // of the spend that is read now
	id            merkle.Hash
	announcements int
}

func (r *run) spend(ctx context.Context, sp *chain.CoinSpend) error {
	r.coin, r.id, r.announcements = sp.Coin, sp.Coin.ID(), 0
	if r.spent[r.id] {
		return invalid("the coin is spent twice")
	}
	r.spent[r.id] = true
	r.in.add(sp.Coin.Amount)
	program, err := parse("puzzle", sp.Puzzle)
	if err != nil {
		return err
	}
	if found := merkle.Hash(program.TreeHash()); found != sp.Coin.PuzzleHash {
		return invalid("want puzzle hash %v, found %v", sp.Coin.PuzzleHash, found)
	}
	solution, err := parse("solution", sp.Solution)
	if err != nil {
		return err
	}
	list, err := clvm.Run(ctx, program, solution, &clvm.Limits{Steps: maxSteps, Bytes: maxMemory})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return invalid("%w", err)
	}
	for ; list.IsPair(); _, list, _ = list.Pair() {
		c, _, _ := list.Pair()
		if err := r.condition(c); err != nil {
			return err
		}
	}
	if !list.IsNil() {
		return invalid("the conditions end in %v", list)
	}
	return nil
}

// parse parses a program in its only allowed form: shortest lengths and no back-references.
func parse(what string, b []byte) (*clvm.Node, error) {
	n, err := clvm.Parse(b, nil)
	if err != nil {
		return nil, invalid("%s: %w", what, err)
	}
	again, err := clvm.Append(make([]byte, 0, len(b)), n, &clvm.Limits{Input: len(b)})
	if err != nil || !bytes.Equal(again, b) {
		return nil, invalid("%s is not serialized in the shortest form", what)
	}
	return n, nil
}

// condition applies one condition.
func (r *run) condition(c *clvm.Node) error {
	first, rest, ok := c.Pair()
	op, isAtom := "", false
	if ok {
		op, isAtom = first.Atom()
	}
	if !isAtom || len(op) != 1 {
		return invalid("unknown condition %v", c)
	}
	code := op[0]
	if code == condRemark {
		return nil
	}
	args, ok := arguments(code, rest)
	if !ok {
		return invalid("condition %d with arguments %v", code, rest)
	}
	switch {
	case code >= condSigParent && code <= condSigMe:
		return r.sign(code, args)
	case code == condCreateCoin:
		return r.create(args)
	case code == condReserveFee:
		fee, ok := canonical(args[0])
		if !ok {
			return invalid("reserved fee %v", args[0])
		}
		r.reserve.add(fee)
		return nil
	case code >= condAnnounceCoin && code <= condConcurrent:
		return r.announce(code, args[0])
	}
	return r.mine(code, args[0])
}

// arguments returns the arguments of a condition. ok is false if the condition is not known, or
// has another number of arguments. A coin can have memos as a third one.
func arguments(code byte, rest *clvm.Node) (args []*clvm.Node, ok bool) {
	switch {
	case code == condCreateCoin:
		if args, ok = rest.Exactly(2); !ok {
			args, ok = rest.Exactly(3)
		}
		return args, ok
	case code == condReserveFee, code >= condAnnounceCoin && code <= condConcurrent,
		code >= condMyID && code <= condMyAmount:
		return rest.Exactly(1)
	case code >= condSigParent && code <= condSigMe:
		return rest.Exactly(2)
	}
	return nil, false
}

// canonical returns an amount in its shortest form.
func canonical(n *clvm.Node) (uint64, bool) {
	v, ok := n.Uint64()
	s, _ := n.Atom()
	return v, ok && s == string(clvm.AppendUint(nil, v))
}

func (r *run) create(args []*clvm.Node) error {
	to, isHash := args[0].Bytes32()
	amount, isAmount := canonical(args[1])
	if !isHash || !isAmount {
		return invalid("new coin with puzzle hash %v and amount %v", args[0], args[1])
	}
	coin := chain.Coin{Parent: r.id, PuzzleHash: to, Amount: amount}
	if r.made[coin] {
		return invalid("coin %v is made twice", coin.ID())
	}
	r.made[coin] = true
	r.out.add(amount)
	r.effects.Made = append(r.effects.Made, coin)
	return nil
}

// announce makes or asserts an announcement, or asserts the spend of a coin.
func (r *run) announce(code byte, arg *clvm.Node) error {
	if r.announcements++; r.announcements > maxConditions {
		return invalid("more than %d announcements and assertions", maxConditions)
	}
	text, isAtom := arg.Atom()
	hash, isHash := arg.Bytes32()
	switch {
	case code == condAnnounceCoin || code == condAnnouncePuzzle:
		if !isAtom || len(text) > maxAnnouncementBytes {
			return invalid("announcement %v", arg)
		}
		sender := r.id
		if code == condAnnouncePuzzle {
			sender = r.coin.PuzzleHash
		}
		r.said[announcement(sender, []byte(text))] = true
	case !isHash:
		return invalid("condition %d with %v, want 32 bytes", code, arg)
	case code == condConcurrent:
		r.beside = append(r.beside, hash)
	default:
		r.heard = append(r.heard, hash)
	}
	return nil
}

// mine checks what a puzzle asserts about its own coin.
func (r *run) mine(code byte, arg *clvm.Node) error {
	text, isAtom := arg.Atom()
	want := ""
	switch code {
	case condMyID:
		want = string(r.id[:])
	case condMyParent:
		want = string(r.coin.Parent[:])
	case condMyPuzzle:
		want = string(r.coin.PuzzleHash[:])
	case condMyAmount:
		want = string(clvm.AppendUint(nil, r.coin.Amount))
	}
	if !isAtom || text != want {
		return invalid("condition %d asserts %v, want %x", code, arg, want)
	}
	return nil
}

// sign notes a message. The opcode says what is appended to it.
func (r *run) sign(code byte, args []*clvm.Node) error {
	key, isKey := args[0].Atom()
	text, isText := args[1].Atom()
	if !isKey || !isText || len(text) > maxAnnouncementBytes {
		return invalid("condition %d with key %v and message %v", code, args[0], args[1])
	}
	if _, err := bls.ParsePublicKey([]byte(key)); err != nil {
		return invalid("condition %d: %w", code, err)
	}
	m := Message{Coin: r.id, Key: auth.PublicKey([]byte(key)), Opcode: code, Bytes: []byte(text)}
	amount := clvm.AppendUint(nil, r.coin.Amount)
	add := func(parts ...[]byte) { m.Bytes = append(m.Bytes, bytes.Join(parts, nil)...) }
	switch code {
	case condSigParent:
		add(r.coin.Parent[:])
	case condSigParent + 1:
		add(r.coin.PuzzleHash[:])
	case condSigParent + 2:
		add(amount)
	case condSigParent + 3:
		add(r.coin.PuzzleHash[:], amount)
	case condSigParent + 4:
		add(r.coin.Parent[:], amount)
	case condSigParent + 5:
		add(r.coin.Parent[:], r.coin.PuzzleHash[:])
	case condSigMe:
		add(r.id[:])
	}
	if code != condSigUnsafe {
		domain := r.domain(code)
		add(domain[:])
	} else if r.ambiguous(text) {
		return invalid("a message of condition %d ends like one of another", code)
	}
	r.effects.Messages = append(r.effects.Messages, m)
	return nil
}

// domain returns what is appended to the messages of an opcode: the network's challenge, or for
// others than 50 a hash of it.
func (r *run) domain(code byte) merkle.Hash {
	if code == condSigMe {
		return r.network.Challenge
	}
	return sha256.Sum256(append(r.network.Challenge[:], code))
}

// ambiguous reports whether a message that is not bound to a network ends as a bound one does.
func (r *run) ambiguous(text string) bool {
	for code := byte(condSigParent); code <= condSigMe; code++ {
		domain := r.domain(code)
		if code != condSigUnsafe && strings.HasSuffix(text, string(domain[:])) {
			return true
		}
	}
	return false
}

// settle applies the rules about the bundle as a whole.
func (r *run) settle() error {
	for _, id := range r.beside {
		if !r.spent[id] {
			return invalid("coin %v is asserted to be spent, and is not", id)
		}
	}
	for _, id := range r.heard {
		if !r.said[id] {
			return invalid("announcement %v is asserted, and is not made", id)
		}
	}
	if r.in.compare(r.out) < 0 {
		return invalid("the spends make more coins than they spend")
	}
	fee := r.in
	fee.sub(r.out.low)
	fee.high -= r.out.high
	if fee.high != 0 || r.reserve.high != 0 || fee.low < r.reserve.low {
		return invalid("fee %d, want at least %d and less than 2^64", fee.low, r.reserve.low)
	}
	r.effects.Fee = fee.low
	return nil
}

// Limits of the costs of a bundle.
const (
	MaxCost       = 5_500_000_000 // of a bundle: half of a block
	costByte      = 12_000
	costSignature = 1_200_000
	costCoin      = 1_800_000
	costSpend     = 800_000 // execution; a bound for the puzzles of this package
	bytesCoin     = 48
	bytesBundle   = 8
)

// Cost returns an estimate of what a bundle costs a node, from above: it is up to a fifth more than
// the true cost. Nodes with a full mempool compare bundles by fee per cost, and take at least 5
// mojos per cost.
func Cost(spends []chain.CoinSpend, signatures, made int) uint64 {
	size := uint64(bytesBundle)
	for i := range spends {
		size += uint64(len(spends[i].Puzzle)) + uint64(len(spends[i].Solution)) + bytesCoin
	}
	cost := uint128{0, 0}
	cost.add(costByte * size)
	cost.add(costSignature*uint64(signatures) + costCoin*uint64(made))
	cost.add(costSpend * uint64(len(spends)))
	if cost.high > 0 {
		return math.MaxUint64
	}
	return cost.low
}
