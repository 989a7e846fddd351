package main

import "testing"

func TestAmount(t *testing.T) {
	for text, want := range map[string]amount{
		"1": 1, "500": 500, "500k": 500_000, "500kB": 500_000, "2MB": 2_000_000, "2m": 2_000_000, "1.5M": 1_500_000,
		"2MiB": 2 << 20, "2Ki": 2 << 10, "3GiB": 3 << 30, "1G": 1_000_000_000, "7B": 7,
		"": 0, "0": 0, "-1": 0, "k": 0, "5x": 0, "2 MB": 0, "1e30": 0, "nan": 0, "inf": 0, "0.1": 0, "5kk": 0, "5KiBB": 0,
	} {
		var n amount
		if err := n.Set(text); (err != nil) != (want == 0) || n != want {
			t.Errorf("%q: %d, %v; want %d", text, n, err, want)
		}
	}
}
