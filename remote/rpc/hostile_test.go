package rpc_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/rpc"
	serverrpc "github.com/dig-network/digstore/remote/server/rpc"
)

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func moduleID(n byte) module.ID { return module.ID{Store: auth.StoreID{n}, Root: merkle.Hash{n}} }

// TestJSONOfStrangers: JSON that parsers read differently, and JSON that is expensive to parse.
func TestJSONOfStrangers(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		want         error
	}{
		{"a name twice", `{"jsonrpc":"2.0","id":1,"result":{"ok":true},"result":{"ok":false}}`, strictjson.ErrDuplicate},
		{"a name twice in the result", `{"jsonrpc":"2.0","id":1,"result":{"ok":true,"OK":false}}`, strictjson.ErrDuplicate},
		{"nested deep", `{"jsonrpc":"2.0","id":1,"result":` + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100) + `}`, strictjson.ErrDepth},
		{"nested without an end", strings.Repeat("[", 7<<20), remote.ErrProtocol},
		{"an error and a result", `{"jsonrpc":"2.0","id":1,"result":{"ok":true},"error":{"code":-32004,"message":"no"}}`, fs.ErrNotExist},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, tc.answer)
			})
			if _, err := client(t, h, nil).Health(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestErrorsAs: the codes match these errors (remote/PROTOCOL.md 10.5).
func TestErrorsAs(t *testing.T) {
	for _, tc := range []struct {
		code   int
		is     error
		status bool
	}{
		{rpc.CodeUnavailable, fs.ErrNotExist, false},
		{rpc.CodeUnanchored, remote.ErrVerification, false},
		{rpc.CodeLimited, nil, false},
		{rpc.CodeInternal, nil, true},
		{rpc.CodeParams, nil, true},
		{-32016, nil, true},
	} {
		err := fmt.Errorf("wrapped: %w", &rpc.Error{Code: tc.code, Message: "words"})
		var status *remote.StatusError
		if tc.is != nil && !errors.Is(err, tc.is) || errors.As(err, &status) != tc.status {
			t.Errorf("%d: %v, a status: %v", tc.code, err, status)
		}
		if tc.status && !strings.Contains(status.Error(), "words") {
			t.Errorf("%d: %v", tc.code, status)
		}
	}
}

// TestPatience: a client that sends slowly, or does not read the answer, does not block the
// handler.
func TestPatience(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, conn io.ReadWriter){
		"a request that does not end": func(t *testing.T, conn io.ReadWriter) {
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%v, %v", resp, err)
			}
		},
		"an answer that is not taken": func(t *testing.T, conn io.ReadWriter) {
			body := `{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}`
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, 1, false)
			synctest.Test(t, func(t *testing.T) {
				var took time.Duration
				done := make(chan struct{})
				origin := remotetest.NewOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					start := time.Now()
					serverrpc.NewHandler(s.contents, nil).ServeHTTP(w, r)
					took = time.Since(start)
					close(done)
				}))
				defer origin.Close()
				conn, err := origin.Dial(t.Context(), "tcp", "x")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				send(t, conn)
				<-done
				if took < time.Minute || took > 2*time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
