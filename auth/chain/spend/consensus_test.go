package spend_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/internal/clvm"
)

// A ledger is a second reading of the network's rules, by which the first one in Run is checked.
// It shares no code with Run but the interpreter: sums are big integers, and conditions are read
// as a list of atoms.
type ledger struct {
	spent, said      map[string]bool
	rest, reserve    *big.Int
	asserted, beside []string
}

// consensus returns why the network would refuse the spends, if it does.
func consensus(ctx context.Context, spends []chain.CoinSpend) error {
	l := ledger{spent: map[string]bool{}, said: map[string]bool{}, rest: new(big.Int),
		reserve: new(big.Int)}
	for _, sp := range spends {
		if err := l.spend(ctx, sp); err != nil {
			return err
		}
	}
	for _, id := range l.asserted {
		if !l.said[id] {
			return errors.New("announcement")
		}
	}
	for _, id := range l.beside {
		if !l.spent[id] {
			return errors.New("concurrent spend")
		}
	}
	if l.rest.Sign() < 0 || l.rest.Cmp(l.reserve) < 0 {
		return fmt.Errorf("fee %v, reserved %v", l.rest, l.reserve)
	}
	return nil
}

func (l *ledger) spend(ctx context.Context, sp chain.CoinSpend) error {
	id := coinID(sp.Coin.Parent[:], sp.Coin.PuzzleHash[:], sp.Coin.Amount)
	if l.spent[id] {
		return errors.New("double spend")
	}
	l.spent[id] = true
	l.rest.Add(l.rest, new(big.Int).SetUint64(sp.Coin.Amount))
	list, err := conditionsOf(ctx, sp)
	if err != nil {
		return err
	}
	outputs := map[string]bool{}
	for _, c := range list {
		if len(c) == 0 || c[0] == nil {
			return errors.New("no opcode")
		}
		if err := l.apply(sp.Coin, id, c, outputs); err != nil {
			return fmt.Errorf("condition %x: %w", *c[0], err)
		}
	}
	return nil
}

// apply applies one condition. Its opcode is an atom of one byte.
func (l *ledger) apply(coin chain.Coin, id string, c []*string, outputs map[string]bool) error {
	refused := errors.New("refused")
	arg := func(i int) string {
		if i < len(c) && c[i] != nil {
			return *c[i]
		}
		return strings.Repeat("none", 300) // longer than any argument may be
	}
	own := map[string]string{"F": id, "G": string(coin.Parent[:]),
		"H": string(coin.PuzzleHash[:]), "I": minimal(coin.Amount)}
	switch op := *c[0]; op {
	case "\x01":
	case "2": // 50: a signature
		if _, err := bls.ParsePublicKey([]byte(arg(1))); err != nil || len(arg(2)) > 1024 {
			return refused
		}
	case "3": // 51: a coin
		amount, ok := natural(arg(2))
		if len(arg(1)) != 32 || !ok || outputs[arg(1)+arg(2)] || len(c) > 4 {
			return refused
		}
		outputs[arg(1)+arg(2)] = true
		l.rest.Sub(l.rest, amount)
	case "4": // 52: a fee
		fee, ok := natural(arg(1))
		if !ok {
			return refused
		}
		l.reserve.Add(l.reserve, fee)
	case "<":
		l.said[hashOf(id, arg(1))] = true
	case ">":
		l.said[hashOf(string(coin.PuzzleHash[:]), arg(1))] = true
	case "=", "?":
		l.asserted = append(l.asserted, arg(1))
	case "@":
		l.beside = append(l.beside, arg(1))
	case "F", "G", "H", "I":
		if arg(1) != own[op] {
			return refused
		}
	default:
		return refused
	}
	return nil
}

// conditionsOf runs a spend and returns the atoms of its conditions, nil for a pair.
func conditionsOf(ctx context.Context, sp chain.CoinSpend) ([][]*string, error) {
	program, err := clvm.Parse(sp.Puzzle, nil)
	if err != nil {
		return nil, err
	}
	if program.TreeHash() != sp.Coin.PuzzleHash {
		return nil, errors.New("puzzle hash")
	}
	solution, err := clvm.Parse(sp.Solution, nil)
	if err != nil {
		return nil, err
	}
	value, err := clvm.Run(ctx, program, solution, nil)
	if err != nil {
		return nil, err
	}
	var list [][]*string
	for c := range value.Items() {
		var atoms []*string
		for item := range c.Items() {
			if s, ok := item.Atom(); ok {
				atoms = append(atoms, &s)
			} else {
				atoms = append(atoms, nil)
			}
		}
		list = append(list, atoms)
	}
	return list, nil
}

func coinID(parent, puzzleHash []byte, amount uint64) string {
	return hashOf(string(parent), string(puzzleHash)+minimal(amount))
}

func hashOf(a, b string) string {
	sum := sha256.Sum256([]byte(a + b))
	return string(sum[:])
}

// minimal returns the shortest bytes of an amount, whose first bit is zero.
func minimal(v uint64) string {
	b := binary.BigEndian.AppendUint64([]byte{0}, v)
	for len(b) > 0 && b[0] == 0 && (len(b) == 1 || b[1] < 0x80) {
		b = b[1:]
	}
	return string(b)
}

// natural returns an amount in its shortest form.
func natural(s string) (*big.Int, bool) {
	v := new(big.Int).SetBytes([]byte(s))
	return v, v.IsUint64() && minimal(v.Uint64()) == s
}
