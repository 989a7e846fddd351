package auth_test

import (
	"context"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
)

// Under a key of small order, the zero scalar and that key as R sign many messages. Such keys
// and keys that are not canonical are refused before any equation is looked at.
func TestNodeKeysRefused(t *testing.T) {
	const ff30 = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	const zero30 = "000000000000000000000000000000000000000000000000000000000000"
	for _, text := range []string{
		"00" + zero30 + "00", "00" + zero30 + "80", "01" + zero30 + "00", "01" + zero30 + "80",
		"ec" + ff30 + "7f", "ec" + ff30 + "ff", "ed" + ff30 + "7f", "ed" + ff30 + "ff", "ee" + ff30 + "7f", "ee" + ff30 + "ff",
		"f0" + ff30 + "7f", "ff" + ff30 + "ff",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		k := must(auth.ParseNodePublicKey(text))
		refused(t, k.Check(), auth.ErrPublicKey)
		sig := auth.NodeSignature(slices.Concat(k[:], make([]byte, 32))) // R = A, S = 0
		refused(t, k.Verify(nil, sig), auth.ErrPublicKey)
	}
	for _, text := range []string{"eb" + ff30 + "7f", "ff" + ff30[2:] + "fe7f", "02" + zero30 + "00"} {
		same(t, must(auth.ParseNodePublicKey(text)).Check(), nil)
	}
	for i := range byte(8) {
		same(t, auth.NewNodeKey(seed(i)).PublicKey().Check(), nil)
	}
}

func TestNodeSignEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := auth.NewNodeKey(seed(1)).Sign(ctx, nil)
	refused(t, err, context.Canceled)
}
