package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

func hexOf(b string, n int) string { return strings.Repeat(b, n) }

// TestDescriptorJSON: a descriptor has the members and the order of remote/PROTOCOL.md 5.1.
func TestDescriptorJSON(t *testing.T) {
	d := &Descriptor{Root: merkle.Hash(bytes.Repeat([]byte{0x20}, 32)), Size: 134300000,
		PublicKey: auth.PublicKey(bytes.Repeat([]byte{0xb1}, 48)),
		PushSig:   auth.Signature(bytes.Repeat([]byte{0x91}, 96)),
		Tombstones: []auth.Tombstone{{Store: auth.StoreID(bytes.Repeat([]byte{1}, 32)),
			NotAfter: 1700000000,
			Reason:   auth.Takedown, Sig: auth.Signature(bytes.Repeat([]byte{0x87}, 96))}}}
	want := `{"current_root":"` + hexOf("20", 32) + `","size":134300000,"public_key":"` + hexOf("b1", 48) +
		`","push_sig":"` + hexOf("91", 96) + `","tombstones":[{"record":"` + hexOf("01", 32) +
		`01000000006553f10003","signature":"` + hexOf("87", 96) + `"}]}`
	got, err := json.Marshal(d)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	var back Descriptor
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, &back); diff != "" {
		t.Error(diff)
	}
	if got, err := json.Marshal(&Descriptor{Root: merkle.Hash{1}}); err != nil ||
		!strings.HasSuffix(string(got), `"size":0,"public_key":"","push_sig":"","tombstones":[]}`) {
		t.Errorf("nothing known: %s, %v", got, err)
	}
}

func TestDescriptorRead(t *testing.T) {
	root := `"current_root":"` + hexOf("20", 32) + `"`
	for _, c := range []struct {
		name, text string
		ok         bool
		stones     int
	}{
		{"least", `{` + root + `}`, true, 0},
		{"upper case", `{"current_root":"` + hexOf("AB", 32) + `"}`, true, 0},
		{"unknown members", `{` + root + `,"x":{"y":[1,2]},"tombstones":null}`, true, 0},
		{"bad tombstones are left out", `{` + root + `,"tombstones":[{},{"record":"00","signature":"` + hexOf("00", 96) + `"},` +
			`{"record":"` + hexOf("01", 32) + `01000000006553f10003","signature":"` + hexOf("87", 96) + `"}]}`, true, 1},
		{"no root", `{}`, false, 0},
		{"zero root", `{"current_root":"` + hexOf("00", 32) + `"}`, false, 0},
		{"short root", `{"current_root":"` + hexOf("20", 31) + `"}`, false, 0},
		{"negative size", `{` + root + `,"size":-1}`, false, 0},
		{"fractional size", `{` + root + `,"size":1.5}`, false, 0},
		{"short key", `{` + root + `,"public_key":"b1"}`, false, 0},
		{"short signature", `{` + root + `,"push_sig":"` + hexOf("91", 95) + `"}`, false, 0},
		{"not hex", `{` + root + `,"push_sig_untagged":"` + hexOf("zz", 96) + `"}`, false, 0},
		{"array", `[]`, false, 0},
	} {
		var d Descriptor
		err := json.Unmarshal([]byte(c.text), &d)
		if (err == nil) != c.ok || len(d.Tombstones) != c.stones {
			t.Errorf("%s: %+v, %v", c.name, d, err)
		}
	}
}

func TestRootsWire(t *testing.T) {
	var lines []module.Generation
	for i := range 1000 { // more than one buffer
		lines = append(lines,
			module.Generation{Number: uint64(i), Root: merkle.Sum([]byte{byte(i), byte(i >> 8)}),
				Time: time.Unix(1750000000+int64(i), 0).UTC()})
	}
	for _, n := range []int{0, 1, 2, len(lines)} {
		var b bytes.Buffer
		if err := EncodeRoots(&b, lines[:n]); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRoots(&b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]module.Generation(nil), lines[:n]...), got); diff != "" {
			t.Errorf("%d lines: %s", n, diff)
		}
	}
	var b bytes.Buffer
	EncodeRoots(&b, lines[:1])
	want := `{"roots":[{"generation":0,"root":"` + lines[0].Root.String() + `","timestamp":1750000000}]}`
	if b.String() != want {
		t.Errorf("got  %s\nwant %s", b.String(), want)
	}
}

func TestRootsRead(t *testing.T) {
	line := `{"generation":0,"root":"` + hexOf("20", 32) + `","timestamp":1}`
	for _, c := range []struct {
		text string
		n    int // -1: an error
	}{
		{`{"roots":[]}`, 0},
		{`{"x":[{}],"roots":[` + line + `],"y":1}`, 1},
		{`{"roots":[` + line + `,` + line + `]}`, 2},
		{`{}`, -1}, {``, -1}, {`[]`, -1}, {`{"roots":{}}`, -1}, {`{"roots":[1]}`, -1}, {`{"roots":[` + line, -1},
		{`{"roots":[{"generation":-1,"root":"` + hexOf("20", 32) + `"}]}`, -1},
		{`{"roots":[{"generation":0,"root":"20"}]}`, -1},
		{`{"roots":[],"roots":[]}`, -1},
	} {
		got, err := DecodeRoots(strings.NewReader(c.text))
		if (err != nil) != (c.n < 0) || err == nil && len(got) != c.n {
			t.Errorf("%s: %d lines, %v", c.text, len(got), err)
		}
	}
}

func TestErrorMessage(t *testing.T) {
	for body, want := range map[string]string{
		"unknown store": "unknown store",
		`{"error":"forbidden","message":"no, sir"}`: "no, sir",
		`{"error":"forbidden"}`:                     "forbidden",
		`{"detail":"other"}`:                        `{"detail":"other"}`,
		"two\nlines\x1b[31m":                        "two lines [31m",
		"\xff":                                      "\uFFFD",
		strings.Repeat("x", 5000):                   strings.Repeat("x", 1024) + "…",
	} {
		if got := ErrorMessage([]byte(body)); got != want {
			t.Errorf("%q: got %q, want %q", Clip(body, 40), Clip(got, 60), Clip(want, 60))
		}
	}
}

// FuzzDescriptor: a decoded descriptor does not change by encoding and decoding.
func FuzzDescriptor(f *testing.F) {
	f.Add([]byte(`{"current_root":"` + hexOf("20", 32) + `","size":1,"public_key":"","push_sig":"","tombstones":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d, back Descriptor
		if json.Unmarshal(text, &d) != nil {
			return
		}
		again, err := json.Marshal(&d)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, back); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzRoots: a decoded history does not change by encoding and decoding.
func FuzzRoots(f *testing.F) {
	f.Add([]byte(`{"roots":[{"generation":0,"root":"` + hexOf("20", 32) + `","timestamp":1}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := DecodeRoots(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := EncodeRoots(&b, lines); err != nil {
			t.Fatal(err)
		}
		back, err := DecodeRoots(&b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lines, back); diff != "" {
			t.Fatal(diff)
		}
	})
}
