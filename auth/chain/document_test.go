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
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/internal/docs"
	"github.com/dig-network/digstore/merkle"
)

// TestLineageDocument compares the tables of LINEAGE.md with the code.
func TestLineageDocument(t *testing.T) {
	doc := docs.Open(t, "LINEAGE.md")
	t.Run("constants", func(t *testing.T) {
		doc.Compare("2.1", "name", "tree hash", map[string]string{
			"SINGLETON (top layer v1.1)": puzzle.Singleton.String(), "LAUNCHER": puzzle.Launcher.String(),
			"STATE (NFT state layer)": puzzle.State.String(), "DELEGATION": puzzle.Delegation.String(), "WRITER": puzzle.Writer.String(),
			"STANDARD (delegated puzzle or hidden puzzle)": puzzle.Standard.String(),
			"HIDDEN (default hidden puzzle, `(=)`)":        puzzle.Hidden.String(),
			"CAT (v2)":                                     puzzle.CAT.String(), "UPDATER (the program 11, serialised `0b`)": puzzle.Updater.String(),
		})
		numbers := map[string]int64{"CREATE_COIN": puzzle.CondCreateCoin,
			"CREATE_PUZZLE_ANNOUNCEMENT": puzzle.CondAnnounce,
			"NEW_METADATA":               puzzle.CondNewMetadata, "NEW_DELEGATES": puzzle.CondNewMerkle,
			"MELT (an amount)": puzzle.AmountMelt}
		decimal, atom := map[string]string{}, map[string]string{}
		for name, n := range numbers {
			decimal[name], atom[name] = strconv.FormatInt(n, 10), hex.EncodeToString(clvm.AppendInt(nil, n))
		}
		doc.Compare("2.2", "name", "number", decimal)
		doc.Compare("2.2", "name", "atom", atom)
		doc.Compare("2.3", "name", "value", map[string]string{
			"DIG asset id on mainnet; 1 DIG is 1000 base units": DIG().String(),
			"launcher hint, SHA-256(\"datastore\")":             LauncherHint().String(),
			"owner hint domain, ASCII":                          ownerHintDomain,
			"network name of mainnet":                           Mainnet, "URL of a local full node": FullNodeURL,
		})
	})
	t.Run("limits", func(t *testing.T) {
		o := NewResolver(NewStatic(Mainnet), nil).opt
		seconds := func(d time.Duration) string {
			return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
		}
		want := map[string]string{"tip age": seconds(o.TipAge),
			"maximum skew": fmt.Sprintf("%d min", o.MaxSkew/time.Minute),
			"block window": seconds(DefaultBlockWindow), "block time": seconds(blockTime),
			"wait that a host may ask for": seconds(backoff.MaxAfter)}
		for name, n := range map[string]int{"minimum depth": int(o.MinDepth),
			"settled depth": int(o.SettledDepth),
			"maximum coins": o.MaxHops, "stores in memory": o.Stores, "blocks without a time": maxBack, "spends asked ahead": walkAhead,
			"lookups before hints": lookupsToHint, "hint candidates": maxCandidates, "delegates": maxDelegates,
			"search pairs": maxSearchPairs, "search candidates": maxSearchCandidates, "dropped keys": maxDropped,
			"owner's launchers": maxOwned, "answer: record or state": maxRecordAnswer, "answer: page of a list": maxListAnswer,
			"answer: puzzle and solution": maxSpendAnswer, "pages of a list": maxPages, "coins of a list": maxRecords,
			"cached file": maxCacheFile, "noted blocks": maxMarks} {
			want[name] = strconv.Itoa(n)
		}
		programLimits(want)
		doc.Compare("2.4", "name", "value", want)
	})
	t.Run("statuses", func(t *testing.T) {
		doc.Compare("8.2", "status", "status",
			docs.Set(string(StatusAnchored), string(StatusShallow), string(StatusCached),
				string(StatusUnanchored), string(StatusMelted)))
		want := map[string]string{}
		for r := RoleNone; r <= RoleOracle; r++ {
			want[r.String()] = map[bool]string{true: "yes", false: "no"}[r.MayWrite()]
		}
		doc.Compare("9.1", "role", "may change the root", want)
		doc.Compare("10.1", "trust", "trust", docs.Set(string(TrustNode), string(TrustSingle),
			string(TrustQuorum), string(TrustPinned)))
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
		doc.Compare("12", "error", "error", want)
	})
	t.Run("questions", func(t *testing.T) { questionsDocument(t, doc) })
	t.Run("memory", func(t *testing.T) { memoryDocument(t, doc) })
	t.Run("example", func(t *testing.T) { exampleDocument(doc) })
}

// programLimits adds the limits of the interpreter, by the names of section 2.4.
func programLimits(want map[string]string) {
	d := clvm.DefaultLimits()
	for name, n := range map[string]int64{"input": int64(d.Input), "nodes": int64(d.Nodes),
		"steps": d.Steps,
		"depth": int64(d.Depth), "bytes": d.Bytes, "integer": int64(d.Integer)} {
		want[name] = strconv.FormatInt(n, 10)
	}
}

// questionsDocument compares the RPC method and the members of each request.
func questionsDocument(t *testing.T, doc *docs.Doc) {
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
		"MempoolItem":  func() { rpc.MempoolItem(ctx, id) },
		"FeeEstimate":  func() { rpc.FeeEstimate(ctx, 9, time.Minute) },
	}
	want := map[string]string{}
	for name, f := range ask {
		f()
		want[name] = strings.TrimPrefix(path, "/")
		for _, row := range doc.Tables("6.1", "question")[0] {
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
	doc.Compare("6.1", "question", "RPC method", want)
}

// memoryDocument reads the file of a lineage by the types in the tables of 11.1.
func memoryDocument(t *testing.T, doc *docs.Doc) {
	text, n, program := "text", uint64(5), merkle.Hash{9}
	s := &State{Store: auth.StoreID{1}, Coin: Coin{Parent: merkle.Hash{2}, PuzzleHash: merkle.Hash{3},
		Amount: 1}, Inner: merkle.Hash{4},
		Owner: merkle.Hash{5}, Delegates: []Delegate{{Role: RoleOracle, Puzzle: merkle.Hash{6}, Fee: 8}},
		Metadata: Metadata{Label: &text, Description: &text, Bytes: &n, SizeProof: &text,
			Program: &program, SizeBucket: &n, Dropped: []string{"a", "b"}}}
	l := &lineage{checked: time.Unix(77, 0)}
	l.add(s, &CoinRecord{Confirmed: 3, Time: 4})
	data, err := l.encode(Mainnet, s.Store, Block{})
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data[:len(data)-32]); string(sum[:]) != string(data[len(data)-32:]) {
		t.Error("LINEAGE.md 11.1: the file does not end with its SHA-256")
	}
	table := func(name string) [][]string { return doc.Tables("11.1", name, "type")[0] }
	r := codec.NewReader(data[:len(data)-32])
	var read func(kind string)
	rows := func(list [][]string) {
		for _, row := range list {
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
			rows(table("entry"))
		case "state":
			rows(table("state"))
		case "delegate":
			read("u8")
			read("[32]byte")
			read("u64")
		default:
			t.Fatalf("LINEAGE.md 11.1: no type %q", kind)
		}
	}
	rows(table("field"))
	if err := r.Done(); err != nil {
		t.Errorf("LINEAGE.md 11.1 does not describe the file: %v", err)
	}
}

// exampleDocument computes the example of section 14.
func exampleDocument(doc *docs.Doc) {
	of := func(b byte) (h merkle.Hash) {
		for i := range h {
			h[i] = b
		}
		return h
	}
	store, owner, label, size := auth.StoreID(of(1)), of(2), "site", uint64(300)
	m := Metadata{Root: of(3), Label: &label, Bytes: &size}
	delegates := []Delegate{{Role: RoleWriter, Puzzle: of(4)},
		{Role: RoleOracle, Puzzle: of(5), Fee: 1000}}
	text, _ := clvm.Append(nil, m.node(), nil)
	inner := InnerPuzzleHash(store, owner, delegates)
	full := StorePuzzleHash(store, m, inner)
	doc.Compare("14", "what", "value", map[string]string{
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
