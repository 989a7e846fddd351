package client

import "net/http"

// SetTransport lets t answer the requests of c.
func SetTransport(c *Client, t http.RoundTripper) { c.transport = t }

// RoundTrip is what every exchange goes through.
var RoundTrip = roundTrip

// Codes are the codes that are known.
func Codes() (list []string) {
	for code := range codeErrors {
		list = append(list, code)
	}
	return list
}
