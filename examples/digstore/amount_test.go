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
	for n, want := range map[amount]string{0: "", 1: "1", 1023: "1023", 1000: "1kB", 1024: "1KiB",
		128e6: "128MB", 1 << 30: "1GiB",
		16 << 30: "16GiB", 5e9: "5GB", 1<<30 + 1: "1073741825"} {
		got := n.String()
		if got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
		var back amount
		if err := back.Set(got); n != 0 && (err != nil || back != n) {
			t.Errorf("%q is read as %d, %v; want %d", got, back, err, n)
		}
	}
}
