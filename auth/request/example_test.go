package request_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
)

// A server that tells callers whether it believes them, and a client that sends one request twice.
func Example() {
	store := auth.StoreID{0x0d, 0x16}
	guard := &request.Authenticator{Start: time.Now()}
	server := func(w http.ResponseWriter, r *http.Request) {
		op, ok := request.OpOf(r.Method, "/roots")
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, err := guard.Check(r, op, store)
		switch {
		case errors.Is(err, request.ErrUnauthenticated):
			http.Error(w, err.Error(), http.StatusUnauthorized)
		case err != nil:
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(w, "welcome")
		}
	}

	r := httptest.NewRequest(http.MethodGet, "/stores/0d16…/roots", nil)
	if err := request.Sign(r, request.Roots, store, auth.NewKey([auth.SeedSize]byte{1})); err != nil {
		panic(err)
	}
	for range 2 {
		w := httptest.NewRecorder()
		server(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 welcome
	// 401 request authentication failed: replayed nonce
}

func ExampleOpOf() {
	fmt.Println(request.OpOf(http.MethodHead, "/module"))
	fmt.Println(request.OpOf(http.MethodDelete, "/module"))
	// Output:
	// module true
	//  false
}
