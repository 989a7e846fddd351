package request

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/dig-network/digstore/auth"
)

// The headers that a signed request carries.
const (
	HeaderIdentity  = "X-Dig-Identity"
	HeaderTimestamp = "X-Dig-Timestamp"
	HeaderNonce     = "X-Dig-Nonce"
	HeaderAuth      = "X-Dig-Auth"
)

// NonceSize is the length of a nonce in bytes.
const NonceSize = 32

const messageTag = "digstore:req:v1"

// Message returns the 32 bytes that are signed for a request; see the package comment. It uses the
// time in whole seconds.
func Message(op Op, s auth.StoreID, at time.Time, nonce [NonceSize]byte) [32]byte {
	return message(op, s, uint64(at.Unix()), nonce)
}

func message(op Op, s auth.StoreID, at uint64, nonce [NonceSize]byte) [32]byte {
	b := append(make([]byte, 0, 128), messageTag...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(op)))
	b = append(b, op...)
	b = append(b, s[:]...)
	b = binary.BigEndian.AppendUint64(b, at)
	b = append(b, nonce[:]...)
	return sha256.Sum256(b)
}

// Sign signs r for one attempt, with the current time and a new nonce. It sets the four headers and
// replaces their previous values. It passes r's context to by.Sign. The request must not be sent
// twice with the same signature, not even by the HTTP client after a broken connection.
func Sign(r *http.Request, op Op, s auth.StoreID, by auth.Signer) error {
	var nonce [NonceSize]byte
	rand.Read(nonce[:]) // never fails
	return SignAt(r, op, s, by, time.Now(), nonce)
}

// SignAt is Sign with a given time and nonce.
func SignAt(r *http.Request, op Op, s auth.StoreID, by auth.Signer, at time.Time,
	nonce [NonceSize]byte) error {
	if !op.Valid() {
		return fmt.Errorf("sign request: unknown operation %q", op)
	}
	msg := Message(op, s, at, nonce)
	sig, err := by.Sign(r.Context(), msg[:])
	if err != nil {
		return fmt.Errorf("sign request %s of store %v: %w", op, s, err)
	}
	if r.Header == nil {
		r.Header = make(http.Header, 4)
	}
	r.Header.Set(HeaderIdentity, by.PublicKey().String())
	r.Header.Set(HeaderTimestamp, strconv.FormatUint(uint64(at.Unix()), 10))
	r.Header.Set(HeaderNonce, hex.EncodeToString(nonce[:]))
	r.Header.Set(HeaderAuth, sig.String())
	return nil
}
