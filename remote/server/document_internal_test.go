package server

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/docs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// everything is a Backend with all optional interfaces.
type everything struct {
	Backend
	Receiver
	Revoker
}

// TestProtocolDocument compares remote/PROTOCOL.md with the code of the server.
func TestProtocolDocument(t *testing.T) {
	doc := docs.Open(t, "../PROTOCOL.md")
	t.Run("routes", func(t *testing.T) {
		documented := map[string]request.Op{}
		for _, row := range doc.Tables("3.2", "method")[0] {
			path := strings.TrimSuffix(row[1], "{retrieval key}")
			for _, method := range strings.Split(row[0], ", ") {
				documented[method+" "+path] = request.Op(row[2])
			}
		}
		for path, methods := range New(everything{}, nil).routes {
			for method, r := range methods {
				if documented[method+" "+path] != r.op {
					t.Errorf("PROTOCOL.md 3.2: %s %s has operation %q, the code has %q", method, path,
						documented[method+" "+path], r.op)
				}
				delete(documented, method+" "+path)
				if method == http.MethodGet {
					delete(documented, "HEAD "+path)
				}
			}
		}
		for missing := range documented {
			t.Errorf("PROTOCOL.md 3.2: the code has no route %s", missing)
		}
	})
	t.Run("statuses", func(t *testing.T) {
		want := map[string]string{}
		for status := 400; status < 600; status++ {
			if word := wire.StatusWord(status); word != "internal" ||
				status == http.StatusInternalServerError {
				want[strconv.Itoa(status)] = word
			}
		}
		doc.Compare("4.2", "status", "word", want)
	})
	t.Run("limits", func(t *testing.T) { serverLimits(doc) })
	t.Run("texts", func(t *testing.T) { textsDocument(t, doc) })
	t.Run("decoys", func(t *testing.T) {
		for _, row := range doc.Tables("8.4", "key", "length")[0] {
			digit, err := strconv.ParseUint(strings.TrimPrefix(row[0], "32 × "), 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			key := merkle.Hash(bytes.Repeat([]byte{byte(digit)}, 32))
			c := referenceDecoy(key, key)
			b := make([]byte, c.Size())
			if _, err := c.ReadAt(b, 0); err != nil {
				t.Fatal(err)
			}
			if strconv.Itoa(len(b)) != row[1] || merkle.Sum(b).String() != row[2] {
				t.Errorf("PROTOCOL.md 8.4: the decoy of %s has %d bytes and the hash %s", row[0],
					len(b), merkle.Sum(b))
			}
		}
	})
}

// serverLimits compares the table of limits.
func serverLimits(doc *docs.Doc) {
	o := (&Options{}).withDefaults()
	h := NewHTTPServer(nil, nil)
	want := map[string]string{
		"announcement": minutes(declarationLife), "pending life": fmt.Sprintf("%d h", o.PendingTTL/time.Hour),
		"first bytes time": seconds(peekTime), "idle": minutes(o.UploadIdle), "request header time": seconds(h.ReadHeaderTimeout),
		"connection idle": minutes(h.IdleTimeout),
	}
	for name, n := range map[string]int64{
		"module": o.MaxModule, "JSON request": wire.MaxRequestJSON, "delta request": maxDeltaJSON, "delta have": wire.MaxHave,
		"delta answer": o.MaxDelta, "delta chunks": maxPoolChunks, "ranges": wire.MaxRanges, "announcements": maxDeclarations,
		"pending roots": int64(o.MaxPending), "tombstones": int64(o.MaxTombstones), "first bytes": peekSize,
		"first bytes uploads": maxPeeks, "first bytes uploads of one client": maxPeeksEach, "uploads": int64(o.Limits.Uploads),
		"uploads of one store, address, identity": int64(o.Limits.UploadsPerStore), "deltas": int64(o.Limits.Deltas),
		"request memory": o.Limits.Bodies, "free request memory": freeBody, "least rate": minRate, "early answer": lingerBytes,
		"request header": int64(h.MaxHeaderBytes), "requests of a connection": int64(h.HTTP2.MaxConcurrentStreams),
	} {
		want[name] = strconv.FormatInt(n, 10)
	}
	doc.Compare("4.4", "name", "value", want)
	perSecond := func(r Rate) string {
		return fmt.Sprintf("%g a second, %d at once", r.PerSecond, r.Burst)
	}
	doc.Compare("3.7", "what", "limit by default", map[string]string{
		"one address, before any signature is verified": perSecond(o.Limits.PerIP), "one identity": perSecond(o.Limits.PerIdentity),
		"one store": "10,000 a minute, 10,000 at once", "addresses, identities and stores remembered, each": "16,384",
	})
	if l := o.Limits; l.PerStore.PerSecond*60 != 10_000 || l.PerStore.Burst != 10_000 ||
		l.Tracked != 16_384 ||
		l.UploadsPerAddress != l.UploadsPerStore || l.UploadsPerIdentity != l.UploadsPerStore {
		panic("PROTOCOL.md 3.7 and 4.4 state other limits than the code has")
	}
}

func minutes(d time.Duration) string { return fmt.Sprintf("%d min", d/time.Minute) }
func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }

// textsDocument checks that every text of a refusal is in the document.
func textsDocument(t *testing.T, doc *docs.Doc) {
	var text strings.Builder
	for _, number := range []string{"3.3", "4.2", "4.3", "5.1", "5.3", "6.2", "6.3", "6.5", "6.7",
		"6.9", "6.10", "7.2", "8.1", "8.3", "8.5"} {
		text.WriteString(strings.Join(strings.Fields(doc.Section(number)), " "))
	}
	recipes := docs.Open(t, "../RECIPES.md")
	for _, number := range []string{"3", "4"} {
		text.WriteString(strings.Join(strings.Fields(recipes.Section(number)), " "))
	}
	found := 0
	for _, said := range refusals(t, ".") {
		if found++; !strings.Contains(text.String(), said) {
			t.Errorf("PROTOCOL.md does not have the text %q", said)
		}
	}
	if found < 40 {
		t.Errorf("%d texts in the code, want at least 40", found)
	}
}

// refusals returns the constant texts of the refusals in the code of a folder.
func refusals(t *testing.T, dir string) (texts []string) {
	t.Helper()
	makers := docs.Set("badRequest", "invalid", "forbidden", "refuse")
	for _, file := range docs.Source(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			maker, ok := call.Fun.(*ast.Ident)
			if !ok || makers[maker.Name] == "" {
				return true
			}
			if lit, ok := call.Args[len(call.Args)-1].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if said, err := strconv.Unquote(lit.Value); err == nil {
					texts = append(texts, said)
				}
			}
			return true
		})
	}
	return texts
}
