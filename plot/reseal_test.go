package plot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/dig-network/digstore/plot"
)

const page = 4096

// resealed is a plot in which its owner has changed the body of a table: all hashes and the
// signature hold.
func resealed(t testing.TB, file []byte, table int, edit func(body []byte)) []byte {
	t.Helper()
	be, b := binary.BigEndian, bytes.Clone(file)
	at := func(i int) []byte { return b[int(be.Uint32(b[52+4*(i-1):]))*page:] }
	edit(at(table)[page:])
	seed := bytes.Clone(at(1)[page+64 : page+96])
	var last [32]byte // the hash of the table before
	for i := 1; i <= 7; i++ {
		head := at(i)
		body := head[page : page+be.Uint64(head[0x48:])]
		if i == 7 {
			message := append([]byte("dig:plot:seal:v1"), b[16:48]...)
			message = append(append(message, last[:]...), b[8:16]...)
			sig, err := node.Sign(t.Context(), append(message, b[48:52]...))
			check(t, err)
			copy(body[32:], sig[:])
		}
		if i == table || i == 7 {
			sum := sha256.Sum256(body)
			copy(head[0x28:], sum[:])
		}
		copy(head[0x08:], last[:])
		last = sha256.Sum256(append(append([]byte("dig:plot:table:v1"), seed...), head[:128]...))
	}
	footer := b[len(b)-page:]
	copy(footer[48:], last[:])
	sum := sha256.Sum256(footer[:page-32])
	copy(footer[page-32:], sum[:])
	return b
}

// The owner of a plot can sign what is not so, and a full verification finds it.
func TestFalseTotals(t *testing.T) {
	file := small(t, plot.Zstd)
	for _, c := range []struct {
		what string
		edit func(c1 []byte)
		want error
	}{
		{"nothing", func([]byte) {}, nil},
		{"more content than there is", func(b []byte) { b[111]++ }, plot.ErrTable},
		{"more stored bytes than there are", func(b []byte) { b[119]++ }, plot.ErrTable},
	} {
		if err := verify(resealed(t, file, 1, c.edit), plot.Full); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}
