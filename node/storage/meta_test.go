package storage_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

func fullMeta() storage.Meta {
	return storage.Meta{Origin: storage.Push, Unattested: true, Received: 1_700_000_000,
		Retain: 1_800_000_000, Generation: 7, Signature: auth.Signature{0x11},
		Writer: auth.PublicKey{0x22}, Bribe: merkle.Hash{0x33}, Handle: "mydata",
		Credential: "uploader"}
}

func TestMeta(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for _, c := range []struct {
		m    storage.Meta
		text string
	}{
		{storage.Meta{}, "01" + "0000" + zeros(24) + "0000" + zeros(8)},
		{fullMeta(), "01" + "01" + "01" + "000000006553f100" + "000000006b49d200" +
			"0000000000000007" + "01" + "11" + zeros(95) + "22" + zeros(47) + "01" + "33" +
			zeros(31) + "00000006" + "6d7964617461" + "00000008" + "75706c6f61646572"},
	} {
		b, err := c.m.Encode()
		if err != nil || hex.EncodeToString(b) != c.text {
			t.Errorf("%+v: %x, %v, expected %s", c.m, b, err, c.text)
		}
		if got, err := storage.DecodeMeta(b); err != nil || got != c.m {
			t.Errorf("decoded %+v, %v, expected %+v", got, err, c.m)
		}
	}
	for name, edit := range map[string]func(m *storage.Meta){
		"origin":           func(m *storage.Meta) { m.Origin = 6 },
		"signature alone":  func(m *storage.Meta) { m.Writer = auth.PublicKey{} },
		"writer alone":     func(m *storage.Meta) { m.Signature = auth.Signature{} },
		"long handle":      func(m *storage.Meta) { m.Handle = strings.Repeat("a", 257) },
		"long credential":  func(m *storage.Meta) { m.Credential = strings.Repeat("a", 257) },
		"handle not UTF-8": func(m *storage.Meta) { m.Handle = "\xff" },
	} {
		m := fullMeta()
		edit(&m)
		if _, err := m.Encode(); !errors.Is(err, storage.ErrMeta) {
			t.Errorf("%s: %v, expected ErrMeta", name, err)
		}
	}
}

// TestMetaMalformed: malformed encodings are refused.
func TestMetaMalformed(t *testing.T) {
	b, err := fullMeta().Encode()
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int, v byte) []byte {
		c := bytes.Clone(b)
		c[i] = v
		return c
	}
	const signature = 27 // where its option stands
	zeroed := bytes.Clone(b)
	zeroed[signature+1] = 0
	noWriter := bytes.Clone(b)
	noWriter[signature+1+96] = 0
	noBribe := bytes.Clone(b)
	noBribe[signature+1+96+48+1] = 0
	for name, bad := range map[string][]byte{
		"nothing": nil, "version": at(0, 2), "origin": at(1, 6), "flags": at(2, 2),
		"option": at(signature, 2), "surplus": append(bytes.Clone(b), 0), "short": b[:len(b)-1],
		"zero signature": zeroed, "zero writer": noWriter, "zero bribe": noBribe,
		"not UTF-8": at(len(b)-1, 0xff),
	} {
		if got, err := storage.DecodeMeta(bad); !errors.Is(err, storage.ErrMeta) {
			t.Errorf("%s: %+v, %v, expected ErrMeta", name, got, err)
		}
	}
}

func FuzzDecodeMeta(f *testing.F) {
	for _, m := range []storage.Meta{{}, fullMeta()} {
		b, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := storage.DecodeMeta(b)
		if err != nil {
			if !errors.Is(err, storage.ErrMeta) {
				t.Fatal(err)
			}
			return
		}
		if again, err := m.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to %+v, which encodes to %x, %v", b, m, again, err)
		}
	})
}
