package spend_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// cond is a condition of an opcode and atoms. A string is its bytes, a number its shortest form.
func cond(op int64, args ...any) *clvm.Node {
	list := []*clvm.Node{clvm.Int(op)}
	for _, a := range args {
		switch v := a.(type) {
		case int:
			list = append(list, clvm.Int(int64(v)))
		case string:
			list = append(list, clvm.Text(v))
		case merkle.Hash:
			list = append(list, clvm.Atom(v[:]))
		case *clvm.Node:
			list = append(list, v)
		}
	}
	return clvm.List(list...)
}

// quoted is the spend of a coin of 100 mojos whose puzzle returns the conditions.
func quoted(t *testing.T, conditions ...*clvm.Node) chain.CoinSpend {
	t.Helper()
	return returning(t, clvm.List(conditions...))
}

// returning is the spend of a coin of 100 mojos whose puzzle returns a value.
func returning(t *testing.T, value *clvm.Node) chain.CoinSpend {
	t.Helper()
	program := clvm.Pair(clvm.Int(1), value)
	b, err := clvm.Append(nil, program, nil)
	if err != nil {
		t.Fatal(err)
	}
	return chain.CoinSpend{Puzzle: b, Solution: []byte{0x80},
		Coin: chain.Coin{PuzzleHash: program.TreeHash(), Amount: 100}}
}

// TestRules: each rule of the network refuses what it is for, and nothing beside it.
func TestRules(t *testing.T) {
	w := newWorld(t)
	key := string(w.owner.key[:])
	to, text := merkle.Hash{1}, strings.Repeat("x", 1024)
	challenge := spend.Testnet11().Challenge
	infinity := "\xc0" + strings.Repeat("\x00", 47)
	other := quoted(t, cond(51, to, 1))
	said := merkle.Sum(append(bytes.Clone(other.Coin.PuzzleHash[:]), 'a'))
	list := func(c ...*clvm.Node) []*clvm.Node { return c }
	for name, c := range map[string]struct{ good, bad []*clvm.Node }{
		"unknown opcode":       {list(cond(1, "any", 5)), list(cond(2))},
		"opcode of two bytes":  {nil, list(cond(0x3401, 0))},
		"opcode is a pair":     {nil, list(clvm.List(clvm.List(), clvm.Int(1)))},
		"condition is an atom": {nil, list(clvm.Int(51))},
		"one argument":         {list(cond(51, to, 5)), list(cond(51, to))},
		"four arguments": {list(cond(51, to, 5, clvm.Nil())),
			list(cond(51, to, 5, clvm.Nil(), 1))},
		"amount in full":    {list(cond(51, to, "\x05")), list(cond(51, to, "\x00\x05"))},
		"negative amount":   {list(cond(51, to, 0)), list(cond(51, to, -1))},
		"amount of 65 bits": {nil, list(cond(51, to, "\x01"+strings.Repeat("\x00", 8)))},
		"hash of 31 bytes":  {nil, list(cond(51, string(to[1:]), 5))},
		"the same coin": {list(cond(51, to, 5), cond(51, to, 6)),
			list(cond(51, to, 5), cond(51, to, 5))},
		"more than is there":        {list(cond(51, to, 100)), list(cond(51, to, 101))},
		"fee":                       {list(cond(52, 40), cond(52, 60)), list(cond(52, 41), cond(52, 60))},
		"fee of 65 bits":            {nil, list(cond(52, "\x01"+strings.Repeat("\x00", 8)))},
		"fee in full":               {nil, list(cond(52, "\x00\x05"))},
		"two fees":                  {nil, list(cond(52, 1, 2))},
		"long announcement":         {list(cond(60, text), cond(62, text)), list(cond(60, text+"x"))},
		"announcement of a pair":    {nil, list(cond(62, clvm.List(clvm.Nil())))},
		"not announced by the coin": {list(cond(62, "a")), list(cond(61, said))},
		"not announced by a puzzle": {nil, list(cond(62, "a"), cond(63, said))},
		"announcement not a hash":   {nil, list(cond(63, "a"))},
		"not spent beside":          {nil, list(cond(64, to))},
		"another id":                {nil, list(cond(70, to))},
		"another parent":            {list(cond(71, merkle.Hash{})), list(cond(71, to))},
		"another puzzle":            {nil, list(cond(72, to))},
		"another amount":            {list(cond(73, 100)), list(cond(73, 99))},
		"amount in full, asserted":  {nil, list(cond(73, "\x00\x64"))},
		"key of 47 bytes":           {list(cond(50, key, "m")), list(cond(50, key[1:], "m"))},
		"key at infinity":           {nil, list(cond(50, infinity, "m"))},
		"long message":              {list(cond(50, key, text)), list(cond(50, key, text+"x"))},
		"message of a pair":         {nil, list(cond(50, key, clvm.List(clvm.Nil())))},
		"ends as a bound message": {list(cond(49, key, "m")),
			list(cond(49, key, "m"+string(challenge[:])))},
		"1025 announcements": {slices.Repeat(list(cond(60, "a")), 1024),
			slices.Repeat(list(cond(60, "a")), 1025)},
	} {
		if _, err := spend.Run(t.Context(), spend.Testnet11(),
			[]chain.CoinSpend{quoted(t, c.good...)}); err != nil {
			t.Errorf("%s: the good one: %v", name, err)
		}
		if _, err := spend.Run(t.Context(), spend.Testnet11(),
			[]chain.CoinSpend{quoted(t, c.bad...)}); !errors.Is(err, spend.ErrInvalidBundle) {
			t.Errorf("%s: %v, want ErrInvalidBundle", name, err)
		}
	}
}

// TestBundleRules: rules about programs, and about spends together.
func TestBundleRules(t *testing.T) {
	good := quoted(t, cond(51, merkle.Hash{1}, 5))
	id := good.Coin.ID()
	change := func(f func(*chain.CoinSpend)) []chain.CoinSpend {
		sp := good
		sp.Puzzle, sp.Solution = bytes.Clone(sp.Puzzle), bytes.Clone(sp.Solution)
		f(&sp)
		return []chain.CoinSpend{sp}
	}
	// (a 2 2) with itself as the solution does not end; (x) fails.
	endless := func(sp *chain.CoinSpend) {
		program := clvm.List(clvm.Int(2), clvm.Int(1), clvm.Int(1))
		b, err := clvm.Append(nil, program, nil)
		if err != nil {
			t.Fatal(err)
		}
		sp.Puzzle, sp.Solution, sp.Coin.PuzzleHash = b, b, program.TreeHash()
	}
	rich := quoted(t, cond(1))
	rich.Coin.Amount = 1<<64 - 1
	one := func(sp chain.CoinSpend) []chain.CoinSpend { return []chain.CoinSpend{sp} }
	solution := func(b ...byte) []chain.CoinSpend {
		return change(func(sp *chain.CoinSpend) { sp.Solution = b })
	}
	for name, c := range map[string]struct {
		spends []chain.CoinSpend
		want   string // part of the error, "" for none
	}{
		"good":      {[]chain.CoinSpend{good, quoted(t, cond(64, id))}, ""},
		"none":      {nil, "0 spends"},
		"one twice": {[]chain.CoinSpend{good, good}, "spent twice"},
		"other hash": {change(func(sp *chain.CoinSpend) {
			sp.Coin.PuzzleHash[0]++
		}), "want puzzle hash"},
		"puzzle cut":  {change(func(sp *chain.CoinSpend) { sp.Puzzle = sp.Puzzle[1:] }), "puzzle: "},
		"no solution": {solution(), "solution: "},
		"long form":   {solution(0x81, 0x01), "shortest form"},
		"over 1 MiB": {solution(append([]byte{0xf0, 0x10, 0, 0}, make([]byte, 1<<20)...)...),
			"want at most 1048576"},
		"over the cost": {solution(append([]byte{0xe7, 0x53, 0x00}, make([]byte, 0x75300)...)...),
			"estimated cost"},
		"endless":        {change(endless), "more than 200000 steps"},
		"no list":        {one(returning(t, clvm.Int(5))), "end in 05"},
		"list ends in 1": {one(returning(t, clvm.Pair(cond(1), clvm.Int(1)))), "end in 01"},
		"fee of 65 bits": {[]chain.CoinSpend{rich, good}, "less than 2^64"},
		"no hash":        {one(quoted(t, cond(64, "a"))), "want 32 bytes"},
		"too much":       {one(quoted(t, cond(51, merkle.Hash{1}, 101))), "more coins than they spend"},
	} {
		_, err := spend.Run(t.Context(), spend.Testnet11(), c.spends)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, spend.ErrInvalidBundle) ||
			!strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestPlanRefuses: spends that the network accepts are refused if they are not what was asked for.
func TestPlanRefuses(t *testing.T) {
	w := newWorld(t)
	send := func(to merkle.Hash, amount, fee uint64, memo string) *spend.Draft {
		d := draft()
		if err := d.Send(spend.Send{Payer: w.owner.coins(1, 100), Fee: fee,
			Outputs: []spend.Output{{PuzzleHash: to, Amount: amount, Memos: [][]byte{[]byte(memo)}}},
		}); err != nil {
			t.Fatal(err)
		}
		return d
	}
	asked := send(w.other.hash, 50, 5, "a")
	two := draft()
	if err := two.Send(spend.Send{Payer: w.owner.coins(1, 100), Fee: 5, Outputs: []spend.Output{
		{PuzzleHash: w.other.hash, Amount: 50, Memos: [][]byte{[]byte("a")}},
		{PuzzleHash: w.other.hash, Amount: 45},
	}}); err != nil {
		t.Fatal(err)
	}
	key := string(w.other.key[:])
	beside := slices.Concat(asked.Spends(), []chain.CoinSpend{
		zero(quoted(t, cond(50, key, "m")))})
	recipient, memo := send(w.admin.hash, 50, 5, "a"), send(w.other.hash, 50, 5, "b")
	for name, c := range map[string]struct {
		draft *spend.Draft
		want  string
	}{
		"as asked":        {asked, ""},
		"other fee":       {asked.WithSpends(send(w.other.hash, 50, 6, "a").Spends()), "fee"},
		"other recipient": {asked.WithSpends(recipient.Spends()), "was not asked for"},
		"other change":    {asked.WithSpends(two.Spends()), "was not asked for"},
		"other memo":      {asked.WithSpends(memo.Spends()), "other conditions"},
		"one more signer": {asked.WithSpends(beside), "2 signatures are needed"},
		"coin not made":   {asked.WithMade(chain.Coin{Amount: 1}), "no coin of 1 mojos"},
		"other signer":    {asked.WithKey(w.other.key), "with key"},
		"other owner":     {w.mint.WithAfter(func(s *spend.Store) { s.Owner = w.other.hash }), "Inner"},
		"other label": {w.mint.WithAfter(func(s *spend.Store) { s.Metadata.Bytes = ptr(uint64(0)) }),
			"Metadata"},
		"not melted": {w.mint.WithAfter(nil), "not melted"},
	} {
		_, err := c.draft.Plan(t.Context(), nil)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, spend.ErrInvalidBundle) ||
			!strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// zero returns a spend of a coin of 0 mojos.
func zero(sp chain.CoinSpend) chain.CoinSpend {
	sp.Coin.Amount = 0
	return sp
}

// TestVerify: a sum for nothing is the point at infinity and no other.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	m := []spend.Message{{Key: w.owner.key, Bytes: []byte("m")}}
	sum, err := spend.Sign(m, sign(w.owner))
	if err != nil {
		t.Fatal(err)
	}
	nothing, err := spend.Combine()
	if err != nil {
		t.Fatal(err)
	}
	bad := []spend.Message{{Key: auth.PublicKey{1}, Bytes: []byte("m")}}
	for name, c := range map[string]struct {
		messages []spend.Message
		sum      auth.Signature
		want     error
	}{
		"one":                {m, sum, nil},
		"one, unsigned":      {m, nothing, spend.ErrSignature},
		"none":               {nil, nothing, nil},
		"none, and a sum":    {nil, sum, spend.ErrSignature},
		"malformed key":      {bad, sum, spend.ErrSignature},
		"malformed sum":      {m, auth.Signature{1}, spend.ErrSignature},
		"twice, signed once": {slices.Repeat(m, 2), sum, spend.ErrSignature},
	} {
		if err := spend.Verify(c.messages, c.sum); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
