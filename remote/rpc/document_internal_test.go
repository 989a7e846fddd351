package rpc

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/docs"
)

// TestProtocolDocument compares remote/PROTOCOL.md with the code of the JSON-RPC client.
func TestProtocolDocument(t *testing.T) {
	doc := docs.Open(t, "../PROTOCOL.md")
	want := map[string]string{"client: window answer": strconv.Itoa(maxWindowBody),
		"client: list answer":  strconv.Itoa(maxListBody),
		"client: other answer": strconv.Itoa(maxSmallBody)}
	for _, row := range doc.Tables("10.1", "name")[0] {
		if strings.HasPrefix(row[0], "client: ") && row[1] != want[row[0]] {
			t.Errorf("PROTOCOL.md 10.1: %s is %s, the code has %q", row[0], row[1], want[row[0]])
		}
	}

	var members []string
	for i := range reflect.TypeFor[Window]().NumField() {
		if name, _, _ := strings.Cut(reflect.TypeFor[Window]().Field(i).Tag.Get("json"),
			","); name != "" {
			members = append(members, name)
		}
	}
	doc.Compare("10.3", "member", "member", docs.Set(members...))
	if Block != 65_536 || MaxWindow != 3_145_728 {
		t.Error("PROTOCOL.md 10.3 states other sizes than the code has")
	}

	var codes []string
	for _, code := range []int{CodeParse, CodeInvalidRequest, CodeNoMethod, CodeParams, CodeInternal,
		CodeRuntime, CodeLimited,
		CodeUnavailable, CodeUnanchored, CodeTooLarge} {
		codes = append(codes, strconv.Itoa(code))
	}
	doc.Compare("10.5", "code", "code", docs.Set(codes...))
}
