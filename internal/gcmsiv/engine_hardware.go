//go:build !purego && (amd64 || arm64)

package gcmsiv

import "encoding/binary"

// engines returns the engines this machine can run, the portable one first.
func engines() (all []engine) {
	for e := portable; e <= bestEngine(); e++ {
		all = append(all, e)
	}
	return all
}

// roundKeys are the fifteen round keys of AES-256, as FIPS 197 has them.
type roundKeys [15 * 16]byte

// An aesKey is AES-256 in counter mode with one key.
type aesKey struct {
	engine engine
	round  roundKeys
	soft   *softAES // of the portable engine
}

func (k *aesKey) init(e engine, key *[32]byte) {
	k.engine = e
	if e == portable {
		k.soft = new(softAES)
		k.soft.init(e, key)
		return
	}
	e.expand(key, &k.round)
}

// xorKeyStream writes src, added to the key stream that begins at counter, to
// dst, and moves counter on by the blocks that were begun.
func (k *aesKey) xorKeyStream(dst, src []byte, counter *[16]byte) {
	if k.engine == portable {
		k.soft.xorKeyStream(dst, src, counter)
		return
	}
	n := k.engine.ctr(&k.round, counter, dst, src)
	dst, src = dst[n:], src[n:]
	switch {
	case len(src) == 0:
	case len(src) <= 16:
		var block [16]byte
		copy(block[:], src)
		k.engine.ctrOne(&k.round, counter, &block)
		copy(dst, block[:len(src)])
	default:
		var group [128]byte
		next := *counter
		copy(group[:], src)
		k.engine.ctr(&k.round, &next, group[:], group[:])
		copy(dst, group[:len(src)])
		skip(counter, uint32(len(src)+15)/16)
	}
}

// A hashKey is POLYVAL with one hash key.
type hashKey struct {
	engine engine
	powers powers
	soft   *softHash // of the portable engine
}

func (k *hashKey) init(e engine, key *[16]byte) {
	k.engine = e
	if e == portable {
		k.soft = new(softHash)
		k.soft.init(e, key)
		return
	}
	e.raise(key, &k.powers)
}

// update hashes data, whose length is a multiple of 16, into sum.
func (k *hashKey) update(sum *[16]byte, data []byte) {
	if k.engine == portable {
		k.soft.update(sum, data)
		return
	}
	k.engine.polyval(&k.powers, sum, data)
}

// skip moves a counter block on by n blocks: its first four bytes are the
// counter, which wraps around.
func skip(counter *[16]byte, n uint32) {
	binary.LittleEndian.PutUint32(counter[:], binary.LittleEndian.Uint32(counter[:])+n)
}
