package rpc

import (
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/docs"
)

// TestProtocolDocument compares what remote/PROTOCOL.md says of JSON-RPC with the code.
func TestProtocolDocument(t *testing.T) {
	doc := docs.Open(t, "../PROTOCOL.md")
	o := (*Options)(nil).withDefaults()
	want := map[string]string{}
	for name, n := range map[string]int64{
		"batch": int64(o.MaxBatch), "answer": o.MaxAnswer, "request": maxBody, "id": maxID, "metadata": maxMetadata,
		"memory": o.MaxMemory, "memory of one address": o.MaxMemoryPerIP, "hashing": hashedAtOnce, "hashing waiting": hashingWaiting,
		"client: window answer": maxWindowBody, "client: list answer": maxListBody, "client: other answer": maxSmallBody,
	} {
		want[name] = strconv.FormatInt(n, 10)
	}
	doc.Compare("10.1", "name", "value", want)

	h := NewHandler(nil, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("OPTIONS", "/", nil))
	want = map[string]string{}
	for name := range w.Result().Header {
		want[name] = w.Result().Header.Get(name)
	}
	doc.Compare("10.1", "header", "value", want)

	want = map[string]string{}
	for name, m := range h.table {
		var params []string
		for i := range m.params.NumField() {
			f := m.params.Field(i)
			param, omit, _ := strings.Cut(f.Tag.Get("json"), ",")
			if omit != "" {
				param += "?"
			}
			params = append(params, param)
		}
		want[name] = strings.Join(params, ", ")
	}
	doc.Compare("10.2", "method", "parameters", want)

	var members []string
	for i := range reflect.TypeFor[Window]().NumField() {
		if name, _, _ := strings.Cut(reflect.TypeFor[Window]().Field(i).Tag.Get("json"), ","); name != "" {
			members = append(members, name)
		}
	}
	doc.Compare("10.3", "member", "member", docs.Set(members...))
	if Block != 65_536 || MaxWindow != 3_145_728 {
		t.Error("PROTOCOL.md 10.3 states other sizes than the code has")
	}

	var codes []string
	for _, code := range []int{CodeParse, CodeInvalidRequest, CodeNoMethod, CodeParams, CodeInternal, CodeRuntime, CodeLimited,
		CodeUnavailable, CodeUnanchored, CodeTooLarge} {
		codes = append(codes, strconv.Itoa(code))
	}
	doc.Compare("10.5", "code", "code", docs.Set(codes...))
}
