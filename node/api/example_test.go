package api_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/dig-network/digstore/node/api"
)

// Admin routes behind a token, for clients on this machine and on private networks.
func ExampleAdminGate() {
	token := make([]byte, 32) // from a file in a program
	gate := &api.AdminGate{Token: func() ([]byte, error) { return token, nil }}
	admin := gate.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "welcome")
	}))
	for _, from := range []string{"127.0.0.1:5000", "203.0.113.9:5000"} {
		r := httptest.NewRequest("GET", "/node/status", nil)
		r.RemoteAddr = from
		r.Header.Set("X-Dig-Control-Token", hex.EncodeToString(token))
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 welcome
	// 403
}

// The statuses of problems, by their codes.
func ExampleCodes() {
	fmt.Println(api.Codes()[api.CapsuleNotFound], api.Codes()[api.RateLimited])
	// Output: 404 429
}
