package chain

import (
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/merkle"
)

// groupOrder is the order of the groups of BLS12-381.
var groupOrder,
	_ = new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)

// SyntheticKey returns the key in the standard puzzle of a wallet's key: the key plus the
// offset SHA-256(key || default hidden puzzle), read as a signed number. An invalid key is
// [auth.ErrPublicKey]. See auth/chain/LINEAGE.md 3.5.
func SyntheticKey(wallet auth.PublicKey) (auth.PublicKey, error) {
	k, err := bls.ParsePublicKey(wallet[:])
	if err != nil {
		return auth.PublicKey{}, fmt.Errorf("synthetic key of %v: %w: %w", wallet, auth.ErrPublicKey, err)
	}
	sum := sha256.Sum256(append(wallet[:], puzzle.Hidden[:]...))
	offset := new(big.Int).SetBytes(sum[:])
	if sum[0] >= 0x80 {
		offset.Sub(offset, new(big.Int).Lsh(big.NewInt(1), 256))
	}
	var by [bls.SecretKeySize]byte
	offset.Mod(offset, groupOrder).FillBytes(by[:])
	if k, err = k.Shift(by[:]); err != nil {
		return auth.PublicKey{}, fmt.Errorf("synthetic key of %v: %w", wallet, err)
	}
	return k.Bytes(), nil
}

// StandardPuzzleHash returns the puzzle hash of the standard puzzle with this synthetic key.
// For a wallet's key, see [SyntheticKey].
func StandardPuzzleHash(synthetic auth.PublicKey) merkle.Hash {
	return puzzle.StandardHash(synthetic)
}

// puzzlesOf returns the puzzle hashes of a key on the chain: of the key itself, and as a
// wallet's key.
func puzzlesOf(key auth.PublicKey) ([2]merkle.Hash, error) {
	synthetic, err := SyntheticKey(key)
	if err != nil {
		return [2]merkle.Hash{}, err
	}
	return [2]merkle.Hash{StandardPuzzleHash(key), StandardPuzzleHash(synthetic)}, nil
}
