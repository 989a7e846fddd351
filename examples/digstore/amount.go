package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// amount is a number of bytes, written as 500000, 500k, 2MB or 2MiB. The units k,
// M and G are powers of 1000; Ki, Mi and Gi are powers of 1024.
type amount int64

// units are the units of an amount, largest first.
var units = []struct {
	name  string
	bytes amount
}{{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}}

// String implements pflag.Value. It returns a text that Set reads, in the largest
// unit that divides the amount.
func (n *amount) String() string {
	if *n == 0 {
		return ""
	}
	for _, unit := range units {
		if *n%unit.bytes == 0 {
			return strconv.FormatInt(int64(*n/unit.bytes), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(*n), 10)
}

// Type implements pflag.Value.
func (*amount) Type() string { return "bytes" }

// Set implements pflag.Value.
func (n *amount) Set(text string) error {
	digits := strings.TrimRight(text, "bBiIkKmMgG")
	unit := 1.0
	switch strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(text[len(digits):], "B"), "b")) {
	case "":
	case "k":
		unit = 1e3
	case "m":
		unit = 1e6
	case "g":
		unit = 1e9
	case "ki":
		unit = 1 << 10
	case "mi":
		unit = 1 << 20
	case "gi":
		unit = 1 << 30
	default:
		return fmt.Errorf("%q is not a unit: use k, M, G, KiB, MiB or GiB", text[len(digits):])
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(v*unit >= 1) || v*unit > math.MaxInt64/2 {
		return fmt.Errorf("%q is not a number of bytes, such as 500k or 2MB", text)
	}
	*n = amount(v * unit)
	return nil
}
