package spend

import (
	"fmt"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/merkle"
)

// A Network is what spends depend on besides coins: a signature is valid on one network only.
type Network struct {
	Name   string // as a node names it: mainnet, testnet11
	Prefix string // of addresses
	// Challenge is appended to the messages that are signed. It is the genesis challenge.
	Challenge merkle.Hash
}

// Mainnet returns the network that has coins of value.
func Mainnet() Network {
	return Network{"mainnet", chain.PrefixXCH,
		hash("ccd5bb71183532bff220ba46c268991a3ff07eb358e8255a65c30a2dce0e5fbb")}
}

// Testnet11 returns the public test network. Simulators of chia-wallet-sdk have the same
// challenge, so a key that is used in tests must not own anything there.
func Testnet11() Network {
	return Network{"testnet11", chain.PrefixTestnet,
		hash("37a90eb5185a9c4439a91ddc98bbadce7b4feba060d50116a067de66bf236615")}
}

// Simulator returns the network of a full node in the mode of a simulator.
func Simulator() Network {
	return Network{"simulator0", chain.PrefixTestnet,
		hash("eb8c4d20b322be8d9fddbf9412016bdffe9a2901d7edb0e364e94266d0e095f7")}
}

// PuzzleHash returns the puzzle hash of an address. The error is [ErrAddress] if it is malformed,
// and [ErrWrongNetwork] if its prefix is not the network's: what is sent there is lost.
func (n Network) PuzzleHash(address string) (merkle.Hash, error) {
	prefix, puzzleHash, err := chain.ParseAddress(address)
	if err != nil {
		return merkle.Hash{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if prefix != n.Prefix {
		return merkle.Hash{}, fmt.Errorf("%w: want prefix %s for %s, found %s", ErrWrongNetwork,
			n.Prefix, n.Name, prefix)
	}
	return puzzleHash, nil
}

// hash parses a constant of this package.
func hash(digits string) merkle.Hash {
	h, err := merkle.ParseHash(digits)
	if err != nil {
		panic("spend: " + err.Error())
	}
	return h
}
