package chain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

// tablesOf returns the rows of the tables in one section of LINEAGE.md, without the heads, each cell trimmed.
func tablesOf(t *testing.T, section string) [][][]string {
	t.Helper()
	text, err := os.ReadFile("LINEAGE.md")
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`^##+ ([0-9.]+?)\.? `)
	var tables [][][]string
	in, table := false, false
	for line := range strings.Lines(string(text)) {
		if h := heading.FindStringSubmatch(line); h != nil {
			in = h[1] == section
		}
		switch {
		case !in || !strings.HasPrefix(line, "|"):
			table = false
		case strings.HasPrefix(line, "|---"):
		case !table:
			table = true
			tables = append(tables, nil)
		default:
			var cells []string
			for _, c := range strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|") {
				cells = append(cells, strings.TrimSpace(c))
			}
			tables[len(tables)-1] = append(tables[len(tables)-1], cells)
		}
	}
	if len(tables) == 0 {
		t.Fatalf("LINEAGE.md %s has no table", section)
	}
	return tables
}

// same compares a column of a table with what the code has: every row, and nothing besides.
func same(t *testing.T, section string, rows [][]string, column int, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, row := range rows {
		got[row[0]] = row[column]
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("LINEAGE.md %s: %s is %q, the code has %q", section, name, got[name], value)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("LINEAGE.md %s: the code has no %q", section, name)
		}
	}
}

// TestLineageDocument compares the tables of LINEAGE.md with the code.
func TestLineageDocument(t *testing.T) {
	t.Run("constants", func(t *testing.T) {
		same(t, "2.1", tablesOf(t, "2.1")[0], 1, map[string]string{
			"SINGLETON (top layer v1.1)": modSingleton.String(), "LAUNCHER": modLauncher.String(),
			"STATE (NFT state layer)": modState.String(), "DELEGATION": modDelegation.String(), "WRITER": modWriter.String(),
			"STANDARD (delegated puzzle or hidden puzzle)": modStandard.String(),
			"HIDDEN (default hidden puzzle, `(=)`)":        modHidden.String(),
			"CAT (v2)":                                     modCAT.String(), "UPDATER (the program 11, serialised `0b`)": updater.String(),
		})
		numbers := map[string]int64{"CREATE_COIN": condCreateCoin, "CREATE_PUZZLE_ANNOUNCEMENT": condAnnounce,
			"NEW_METADATA": condNewMetadata, "NEW_DELEGATES": condNewMerkle, "MELT (an amount)": amountMelt}
		decimal, atom := map[string]string{}, map[string]string{}
		for name, n := range numbers {
			decimal[name], atom[name] = strconv.FormatInt(n, 10), hex.EncodeToString(clvm.AppendInt(nil, n))
		}
		same(t, "2.2", tablesOf(t, "2.2")[0], 1, decimal)
		same(t, "2.2", tablesOf(t, "2.2")[0], 2, atom)
		same(t, "2.3", tablesOf(t, "2.3")[0], 1, map[string]string{
			"DIG asset id on mainnet; 1 DIG is 1000 base units": DIG().String(),
			"launcher hint, SHA-256(\"datastore\")":             LauncherHint().String(),
			"owner hint domain, ASCII":                          ownerHintDomain,
			"network name of mainnet":                           Mainnet, "URL of a local full node": FullNodeURL,
		})
	})
	t.Run("limits", func(t *testing.T) {
		o := NewResolver(NewStatic(Mainnet), nil).opt
		seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }
		want := map[string]string{"tip age": seconds(o.TipAge), "maximum skew": fmt.Sprintf("%d min", o.MaxSkew/time.Minute),
			"block window": seconds(DefaultBlockWindow), "block time": seconds(blockTime), "wait that a host may ask for": seconds(maxAsked)}
		for name, n := range map[string]int{"minimum depth": int(o.MinDepth), "settled depth": int(o.SettledDepth),
			"maximum coins": o.MaxHops, "stores in memory": o.Stores, "blocks without a time": maxBack, "spends asked ahead": walkAhead,
			"lookups before hints": lookupsToHint, "hint candidates": maxCandidates, "delegates": maxDelegates,
			"search pairs": maxSearchPairs, "search candidates": maxSearchCandidates, "dropped keys": maxDropped,
			"owner's launchers": maxOwned, "answer: record or state": maxRecordAnswer, "answer: page of a list": maxListAnswer,
			"answer: puzzle and solution": maxSpendAnswer, "pages of a list": maxPages, "coins of a list": maxRecords,
			"cached file": maxCacheFile, "noted blocks": maxMarks} {
			want[name] = strconv.Itoa(n)
		}
		tables := tablesOf(t, "2.4")
		same(t, "2.4", tables[0], 1, want)
		same(t, "2.4", tables[1], 1, programLimits())
	})
	t.Run("statuses", func(t *testing.T) {
		want := map[string]string{}
		for _, s := range []Status{StatusAnchored, StatusShallow, StatusCached, StatusUnanchored, StatusMelted} {
			want[string(s)] = string(s)
		}
		same(t, "8.2", tablesOf(t, "8.2")[0], 0, want)
		want = map[string]string{}
		for r := RoleNone; r <= RoleOracle; r++ {
			want[r.String()] = map[bool]string{true: "yes", false: "no"}[r.MayWrite()]
		}
		same(t, "9.1", tablesOf(t, "9.1")[0], 2, want)
		want = map[string]string{}
		for _, s := range []Trust{TrustNode, TrustSingle, TrustQuorum, TrustPinned} {
			want[string(s)] = string(s)
		}
		same(t, "10.1", tablesOf(t, "10.1")[1], 0, want)
	})
	t.Run("errors", func(t *testing.T) {
		want := map[string]string{}
		file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok {
				want[v.Names[0].Name] = v.Names[0].Name
			}
			return true
		})
		same(t, "12", tablesOf(t, "12")[0], 0, want)
	})
	t.Run("questions", questionsDocument)
	t.Run("memory", memoryDocument)
	t.Run("example", exampleDocument)
}

// programLimits are the limits of the interpreter, by the names of section 2.4.
func programLimits() map[string]string {
	d := clvm.DefaultLimits()
	return map[string]string{"input": strconv.Itoa(d.Input), "nodes": strconv.Itoa(d.Nodes), "steps": strconv.FormatInt(d.Steps, 10),
		"depth": strconv.Itoa(d.Depth), "bytes": strconv.FormatInt(d.Bytes, 10), "integer": strconv.Itoa(d.Integer)}
}

// questionsDocument: which method of the RPC each question calls, and with which members.
func questionsDocument(t *testing.T) {
	var path string
	var body []byte
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, body = r.URL.Path, make([]byte, r.ContentLength)
		r.Body.Read(body)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer host.Close()
	rpc, err := NewRPC(host.URL, &RPCOptions{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, id := context.Background(), merkle.Hash{1}
	ask := map[string]func(){
		"CoinRecord":   func() { rpc.CoinRecord(ctx, id) },
		"CoinSpend":    func() { rpc.CoinSpend(ctx, id, 7) },
		"Peak":         func() { rpc.Peak(ctx) },
		"BlockAt":      func() { rpc.BlockAt(ctx, 7) },
		"Children":     func() { rpc.Children(ctx, []merkle.Hash{id}) },
		"ByHint":       func() { rpc.ByHint(ctx, id, true) },
		"ByPuzzleHash": func() { rpc.ByPuzzleHash(ctx, id, true) },
		"Network":      func() { rpc.Network(ctx) },
	}
	want := map[string]string{}
	for name, f := range ask {
		f()
		want[name] = strings.TrimPrefix(path, "/")
		for _, row := range tablesOf(t, "6.1")[0] {
			if row[0] != name {
				continue
			}
			for _, m := range regexp.MustCompile(`"([a-z_]+)":`).FindAllSubmatch(body, -1) {
				if !strings.Contains(row[2]+",", string(m[1])+",") {
					t.Errorf("LINEAGE.md 6.1: %s sends %s, the document has %q", name, m[1], row[2])
				}
			}
		}
	}
	same(t, "6.1", tablesOf(t, "6.1")[0], 1, want)
}

// memoryDocument reads the file of a lineage by the types in the tables of 11.1.
func memoryDocument(t *testing.T) {
	text, n, program := "text", uint64(5), merkle.Hash{9}
	s := &State{Store: auth.StoreID{1}, Coin: Coin{Parent: merkle.Hash{2}, PuzzleHash: merkle.Hash{3}, Amount: 1}, Inner: merkle.Hash{4},
		Owner: merkle.Hash{5}, Delegates: []Delegate{{Role: RoleOracle, Puzzle: merkle.Hash{6}, Fee: 8}},
		Metadata: Metadata{Label: &text, Description: &text, Bytes: &n, SizeProof: &text, Program: &program, SizeBucket: &n, Dropped: []string{"a", "b"}}}
	l := &lineage{checked: time.Unix(77, 0)}
	l.add(s, &CoinRecord{Confirmed: 3, Time: 4})
	data, err := l.encode(Mainnet, s.Store, Block{})
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data[:len(data)-32]); string(sum[:]) != string(data[len(data)-32:]) {
		t.Error("LINEAGE.md 11.1: the file does not end with its SHA-256")
	}
	tables := tablesOf(t, "11.1")
	r := codec.NewReader(data[:len(data)-32])
	var read func(kind string)
	rows := func(table [][]string) {
		for _, row := range table {
			read(row[1])
		}
	}
	read = func(kind string) {
		switch head, rest, _ := strings.Cut(kind, " "); head {
		case "u8":
			r.U8()
		case "u32":
			r.U32()
		case "u64":
			r.U64()
		case "bool":
			r.Bool()
		case "String":
			_ = r.String()
		case "[9]byte", "[32]byte":
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(head, "["), "]byte"))
			r.Fixed(make([]byte, n))
		case "Option":
			if r.Option() {
				read(rest)
			}
		case "Vec":
			for range r.Count(1) {
				read(rest)
			}
		case "entry":
			rows(tables[1])
		case "state":
			rows(tables[2])
		case "delegate":
			read("u8")
			read("[32]byte")
			read("u64")
		default:
			t.Fatalf("LINEAGE.md 11.1: no type %q", kind)
		}
	}
	rows(tables[0])
	if err := r.Done(); err != nil {
		t.Errorf("LINEAGE.md 11.1 does not describe the file: %v", err)
	}
}

// exampleDocument computes the example of section 14.
func exampleDocument(t *testing.T) {
	of := func(b byte) (h merkle.Hash) {
		for i := range h {
			h[i] = b
		}
		return h
	}
	store, owner, label, size := auth.StoreID(of(1)), of(2), "site", uint64(300)
	m := Metadata{Root: of(3), Label: &label, Bytes: &size}
	delegates := []Delegate{{Role: RoleWriter, Puzzle: of(4)}, {Role: RoleOracle, Puzzle: of(5), Fee: 1000}}
	text, err := clvm.Append(nil, m.node(), nil)
	if err != nil {
		t.Fatal(err)
	}
	inner := InnerPuzzleHash(store, owner, delegates)
	full := StorePuzzleHash(store, m, inner)
	same(t, "14", tablesOf(t, "14")[0], 1, map[string]string{
		"metadata, serialised":                           hex.EncodeToString(text),
		"metadata, tree hash":                            m.Hash().String(),
		"leaf of the writer":                             delegates[0].Leaf().String(),
		"leaf of the oracle":                             delegates[1].Leaf().String(),
		"delegates root":                                 DelegatesRoot(delegates).String(),
		"inner puzzle hash with delegates":               inner.String(),
		"store puzzle hash without delegates":            StorePuzzleHash(store, m, owner).String(),
		"store puzzle hash with delegates":               full.String(),
		"id of the first coin, amount 1, with delegates": Coin{Parent: merkle.Hash(store), PuzzleHash: full, Amount: 1}.ID().String(),
		"owner hint":                                     OwnerHint(owner).String(),
		"CAT puzzle hash of DIG for the owner":           CATPuzzleHash(DIG(), owner).String(),
		"address of the owner on mainnet":                Address(PrefixXCH, owner),
	})
}
