package economy

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Amount is a sum of money in thousandths of a DIG. In text and JSON it is a decimal number of DIG
// with at most three decimals, as in 1000.5. It may be negative.
type Amount int64

// DIG is one DIG.
const DIG Amount = 1000

// MaxAmount is the largest amount. Sums and products saturate at it and at its negative.
const MaxAmount Amount = math.MaxInt64

// ErrAmount is wrapped by the errors of ParseAmount.
var ErrAmount = errors.New("not an amount of DIG")

// ParseAmount reads a decimal number of DIG: an optional minus sign, digits without a leading
// zero, and up to three decimals. It has no plus sign and no exponent.
func ParseAmount(s string) (Amount, error) {
	bad := fmt.Errorf("%w: %.40q", ErrAmount, s)
	digits, negative := strings.CutPrefix(s, "-")
	whole, decimals, point := strings.Cut(digits, ".")
	if whole == "" || len(whole) > 1 && whole[0] == '0' || point && decimals == "" || len(decimals) > 3 {
		return 0, bad
	}
	text := whole + decimals + "000"[len(decimals):]
	if strings.Trim(text, "0123456789") != "" {
		return 0, bad
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, bad
	}
	if negative {
		n = -n
	}
	return Amount(n), nil
}

// String returns the shortest decimal number of DIG.
func (a Amount) String() string {
	n, sign := uint64(a), ""
	if a < 0 {
		n, sign = -n, "-"
	}
	s := fmt.Sprintf("%s%d.%03d", sign, n/1000, n%1000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// MarshalJSON returns String as a JSON number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a JSON number that ParseAmount reads.
func (a *Amount) UnmarshalJSON(text []byte) error {
	n, err := ParseAmount(string(text))
	if err != nil {
		return err
	}
	*a = n
	return nil
}

// Plus returns a + b, saturated at MaxAmount.
func (a Amount) Plus(b Amount) Amount {
	sum := a + b
	switch {
	case a > 0 && b > 0 && sum < 0:
		return MaxAmount
	case a < 0 && b < 0 && (sum >= 0 || sum < -MaxAmount):
		return -MaxAmount
	}
	return sum
}

// Minus returns a - b, saturated at MaxAmount.
func (a Amount) Minus(b Amount) Amount {
	if b < -MaxAmount {
		b = -MaxAmount
	}
	return a.Plus(-b)
}

// scale returns a × num / den, rounded towards zero and saturated at MaxAmount. den must not be 0.
func (a Amount) scale(num, den uint64) Amount {
	n := uint64(a)
	if a < 0 {
		n = -n
	}
	hi, lo := bits.Mul64(n, num)
	if hi >= den {
		lo = math.MaxInt64
	} else if lo, _ = bits.Div64(hi, lo, den); lo > math.MaxInt64 {
		lo = math.MaxInt64
	}
	if a < 0 {
		return -Amount(lo)
	}
	return Amount(lo)
}

// Factor is a multiplier in thousandths: 1500 is 1.5.
type Factor uint32

// One is the factor that changes nothing.
const One Factor = 1000

// Times returns a × f, rounded towards zero.
func (a Amount) Times(f Factor) Amount { return a.scale(uint64(f), uint64(One)) }
