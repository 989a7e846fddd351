package rpc

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/docs"
)

// TestProtocolDocument compares remote/PROTOCOL.md with the code of the JSON-RPC host.
func TestProtocolDocument(t *testing.T) {
	doc := docs.Open(t, "../../PROTOCOL.md")
	o := (*Options)(nil).withDefaults()
	want := map[string]string{}
	for name, n := range map[string]int64{
		"batch": int64(o.MaxBatch), "answer": o.MaxAnswer, "request": maxBody, "id": maxID, "metadata": maxMetadata,
		"memory": o.MaxMemory, "memory of one address": o.MaxMemoryPerIP, "hashing": hashedAtOnce, "hashing waiting": hashingWaiting,
	} {
		want[name] = strconv.FormatInt(n, 10)
	}
	for _, row := range doc.Tables("10.1", "name")[0] {
		if strings.HasPrefix(row[0], "client: ") {
			want[row[0]] = row[1] // package remote/rpc compares it
		}
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
			param, omit, _ := strings.Cut(m.params.Field(i).Tag.Get("json"), ",")
			if omit != "" {
				param += "?"
			}
			params = append(params, param)
		}
		want[name] = strings.Join(params, ", ")
	}
	doc.Compare("10.2", "method", "parameters", want)
}
