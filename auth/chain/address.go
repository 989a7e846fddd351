package chain

import (
	"fmt"
	"strings"

	"github.com/dig-network/digstore/merkle"
)

// An address is a puzzle hash in bech32m (BIP 350): a prefix, "1", 52 characters of five bits
// each, and six of a checksum.
const (
	bech32Set    = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	bech32mFinal = 0x2bc830a3
	addressWords = 52
	checkWords   = 6
	maxPrefix    = 83
)

// The prefixes of addresses. See auth/chain/LINEAGE.md 3.6.
const (
	PrefixXCH     = "xch"  // on mainnet
	PrefixTestnet = "txch" // on test networks and simulators
)

// Address returns the address of a puzzle hash. The prefix is one of the constants, or 1 to 83
// lower-case letters and digits. Address panics for any other prefix.
func Address(prefix string, puzzleHash merkle.Hash) string {
	if !isPrefix(prefix) {
		panic(fmt.Sprintf("chain: invalid address prefix %q", prefix))
	}
	words := toWords(puzzleHash)
	sum := polymod(prefix, append(words[:], make([]byte, checkWords)...)) ^ bech32mFinal
	var b strings.Builder
	b.WriteString(prefix)
	b.WriteByte('1')
	for _, w := range words {
		b.WriteByte(bech32Set[w])
	}
	for i := range checkWords {
		b.WriteByte(bech32Set[sum>>(5*(checkWords-1-i))&31])
	}
	return b.String()
}

// ParseAddress parses an address with any prefix, in lower or upper case, not mixed.
func ParseAddress(s string) (prefix string, puzzleHash merkle.Hash, err error) {
	refuse := func(why string) (string, merkle.Hash, error) {
		if len(s) > 100 {
			s = s[:100] + "…"
		}
		return "", merkle.Hash{}, fmt.Errorf("parse address %q: %s", s, why)
	}
	low := strings.ToLower(s)
	if low != s && strings.ToUpper(s) != s {
		return refuse("mixed upper and lower case")
	}
	at := strings.LastIndexByte(low, '1')
	if at < 0 || !isPrefix(low[:at]) {
		return refuse("want a prefix such as xch, then 1")
	}
	prefix = low[:at]
	data := low[at+1:]
	if len(data) != addressWords+checkWords {
		return refuse(fmt.Sprintf("want %d characters after the prefix, found %d",
			addressWords+checkWords, len(data)))
	}
	words := make([]byte, len(data))
	for i := range len(data) {
		w := strings.IndexByte(bech32Set, data[i])
		if w < 0 {
			return refuse(fmt.Sprintf("invalid character %q", data[i]))
		}
		words[i] = byte(w)
	}
	if polymod(prefix, words) != bech32mFinal {
		return refuse("checksum does not match")
	}
	puzzleHash, ok := fromWords([addressWords]byte(words))
	if !ok {
		return refuse("nonzero padding")
	}
	return prefix, puzzleHash, nil
}

func isPrefix(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= maxPrefix
}

// toWords splits 256 bits into words of five bits. The last is padded with zeros.
func toWords(h merkle.Hash) (words [addressWords]byte) {
	for bit := range 256 {
		words[bit/5] |= h[bit/8] >> (7 - bit%8) & 1 << (4 - bit%5)
	}
	return words
}

func fromWords(words [addressWords]byte) (h merkle.Hash, ok bool) {
	for bit := range 5 * addressWords {
		one := words[bit/5] >> (4 - bit%5) & 1
		switch {
		case bit < 256:
			h[bit/8] |= one << (7 - bit%8)
		case one != 0:
			return h, false
		}
	}
	return h, true
}

// polymod is the checksum of BIP 173 over the prefix and the words.
func polymod(prefix string, words []byte) uint32 {
	sum := uint32(1)
	add := func(w byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(w)
		for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for i := range len(prefix) {
		add(prefix[i] >> 5)
	}
	add(0)
	for i := range len(prefix) {
		add(prefix[i] & 31)
	}
	for _, w := range words {
		add(w)
	}
	return sum
}
