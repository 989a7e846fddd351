package remote

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/internal/docs"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// TestProtocolDocument compares PROTOCOL.md with the client's code.
func TestProtocolDocument(t *testing.T) {
	doc := docs.Open(t, "PROTOCOL.md")
	t.Run("limits", func(t *testing.T) { clientLimits(t, doc) })
	t.Run("bases", func(t *testing.T) {
		doc.Compare("9.4", "basis", "basis", docs.Set(constants(t, "Basis")...))
	})
	t.Run("checks", func(t *testing.T) {
		all := constants(t, "Check")
		want := docs.Set(all...)
		for _, row := range doc.Tables("9.5", "step")[0] {
			for _, check := range strings.Split(row[1], ", ") {
				if !slices.Contains(all, check) {
					t.Errorf("PROTOCOL.md 9.5: the code has no check %q", check)
				}
				delete(want, check)
			}
		}
		for check := range want {
			t.Errorf("PROTOCOL.md 9.5 has no check %q", check)
		}
	})
	t.Run("statuses", func(t *testing.T) {
		for _, row := range doc.Tables("9.12", "status or cause")[0] {
			status, err := strconv.Atoi(row[0])
			if err != nil {
				continue
			}
			_, name, ok := strings.Cut(row[1], ".")
			if !ok {
				name = row[1]
			}
			if wire.StatusError(status) == nil {
				t.Errorf("PROTOCOL.md 9.12: %d stands for %s, and for nothing in the code", status, name)
			}
		}
		for status := 400; status < 600; status++ {
			if wire.StatusError(status) != nil &&
				!strings.Contains(doc.Section("9.12"), "| "+strconv.Itoa(status)+" |") {
				t.Errorf("PROTOCOL.md 9.12 has no status %d", status)
			}
		}
	})
	t.Run("bodies", func(t *testing.T) {
		descriptor, err := json.Marshal(&wire.Descriptor{Untagged: auth.Signature{1}})
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(descriptor, &members); err != nil {
			t.Fatal(err)
		}
		doc.Compare("5.1", "member", "member", docs.Set(slices.Collect(maps.Keys(members))...))
		doc.Compare("6.5", "member", "member",
			docs.Set(append(membersOf[wire.InitBody](), membersOf[wire.InitAnswer]()...)...))
		doc.Compare("8.1", "member", "member", docs.Set(membersOf[wire.ContentAnswer]()...))
	})
	t.Run("headers", func(t *testing.T) {
		doc.Compare("6.1", "header", "header",
			docs.Set(wire.HeaderParent, wire.HeaderRoot, wire.HeaderSignature, wire.HeaderTagged,
				wire.HeaderPushMode, wire.HeaderUploadID, wire.HeaderStoreKey, "Authorization", "Content-Type",
				"Content-Length", "Expect"))
	})
	t.Run("locators", func(t *testing.T) {
		id := strings.Repeat("ab", 32)
		for _, row := range doc.Tables("2.2", "locator")[0] {
			if !strings.HasPrefix(row[0], "`dig://<") {
				continue
			}
			text := strings.NewReplacer("`", "", "<id>", id, "<owner>", "me", "<host>", "h.example",
				"[:port]", ":7").Replace(row[0])
			u, err := ParseURL(text)
			if err != nil {
				t.Errorf("PROTOCOL.md 2.2: %s: %v", row[0], err)
			}
			want := strings.ReplaceAll("`https://"+DefaultHost+"/stores/<id>`", "<id>", id)
			if strings.Contains(row[1], "rpc.dig.net") && "`"+u.Endpoint()+"`" != want {
				t.Errorf("PROTOCOL.md 2.2: %s goes to %s", row[0], u.Endpoint())
			}
		}
	})
}

// membersOf returns the names of the members of a JSON object.
func membersOf[T any]() (names []string) {
	for i := range reflect.TypeFor[T]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[T]().Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }

// clientLimits compares the table of limits.
func clientLimits(t *testing.T, doc *docs.Doc) {
	u, err := ParseURL("dig://" + strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"dial": seconds(dialTimeout), "answer header": seconds(headerTimeout),
		"idle":       seconds(idleTimeout),
		"asked wait": seconds(backoff.MaxAfter)}
	for name, n := range map[string]int64{
		"module": c.opt.MaxModule, "resource": c.opt.MaxContent, "descriptor": wire.MaxDescriptor, "history": wire.MaxRoots,
		"error body": wire.MaxErrorBody, "push-init answer": wire.MaxAnswerJSON, "content window": contentWindow, "content answer": maxContentJSON,
		"proof answer": maxProofJSON, "ranges": maxRanges, "range gap": partCost, "single range gap": requestCost,
		"least rate": c.minRate, "attempts": int64(c.opt.Attempts), "progress": minProgress, "readings": maxReadings, "moves": maxMoves,
		"older generations": maxConcurrent, "tombstones": maxTombstones, "failed tombstones": maxFailed, "evidence": MaxEvidence, "evidence size": MaxEvidenceSize,
	} {
		want[name] = strconv.FormatInt(n, 10)
	}
	doc.Compare("9.1", "name", "value", want)
}

// constants returns the values of the string constants of a type in this folder.
func constants(t *testing.T, typ string) (values []string) {
	t.Helper()
	for _, file := range docs.Source(t, ".") {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 {
				return true
			}
			lit, ok1 := spec.Values[0].(*ast.BasicLit)
			if named, ok2 := spec.Type.(*ast.Ident); ok1 && ok2 && named.Name == typ {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					values = append(values, s)
				}
			}
			return true
		})
	}
	return values
}
