package capsule

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/internal/strictjson"
)

// MaxManifest is the length in bytes of the longest manifest that ReadManifest accepts by
// default: 256 MiB, which is above a million capsules.
const MaxManifest = 256 << 20

// MarshalJSON returns the JSON form. It fails when Check does.
func (m *Manifest) MarshalJSON() ([]byte, error) { return m.AppendJSON(nil) }

// AppendJSON appends the JSON form to b, without line breaks and with members in a fixed order:
// 32-byte values as 0x and 64 hexadecimal digits in lower case, numbers as unsigned integers. It
// fails when Check does.
func (m *Manifest) AppendJSON(b []byte) ([]byte, error) {
	if err := m.Check(); err != nil {
		return b, err
	}
	b = appendHex(append(b, `{"datastore_id":`...), m.Store[:])
	b = strconv.AppendUint(append(b, `,"capsule_count":`...), uint64(len(m.Capsules)), 10)
	b = appendHex(append(b, `,"merkle_root":`...), m.Root[:])
	b = strconv.AppendUint(append(b, `,"total_size":`...), m.Size(), 10)
	b = strconv.AppendUint(append(b, `,"creation_time":`...), m.Created, 10)
	b = append(b, `,"capsules":[`...)
	for i, d := range m.Capsules {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(append(b, `{"index":`...), uint64(d.Index), 10)
		b = appendHex(append(b, `,"hash":`...), d.Hash[:])
		b = strconv.AppendUint(append(b, `,"size":`...), uint64(d.Size), 10)
		if !d.ChunkRoot.IsZero() {
			b = appendHex(append(b, `,"chunk_root":`...), d.ChunkRoot[:])
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if !m.Parent.IsZero() {
		b = appendHex(append(b, `,"parent_root":`...), m.Parent[:])
	}
	if m.Generation > 0 || !m.Signature.IsZero() {
		b = strconv.AppendUint(append(b, `,"generation":`...), m.Generation, 10)
	}
	if !m.Signature.IsZero() {
		b = append(append(append(b, `,"root_signature":"`...), m.Signature.String()...), '"')
	}
	if !m.Writer.IsZero() {
		b = append(append(append(b, `,"writer_key":"`...), m.Writer.String()...), '"')
	}
	return append(b, '}'), nil
}

func appendHex(b, v []byte) []byte {
	b = append(b, `"0x`...)
	b = hex.AppendEncode(b, v)
	return append(b, '"')
}

// UnmarshalJSON is ReadManifest. It leaves m alone when it fails.
func (m *Manifest) UnmarshalJSON(text []byte) error {
	got, err := ReadManifest(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return err
	}
	*m = *got
	return nil
}

// ReadManifest reads the JSON form of a manifest from r, to its end, and checks it: see
// Manifest.Check. At most max bytes are read, MaxManifest when max is not positive; a longer
// text is an error.
//
// The reading is strict. A member given twice, or in another letter case, or with another type,
// null where a value is due, a number that is not an unsigned integer in plain digits, and text
// behind the end are refused. Members that are not known are skipped. 32-byte values are read
// with or without 0x, in digits of either case. Memory grows with the number of capsules that
// were read, 72 bytes each. Errors are *ManifestError.
func ReadManifest(r io.Reader, max int64) (*Manifest, error) {
	if max <= 0 {
		max = MaxManifest
	}
	m := new(Manifest)
	if err := m.read(strictjson.NewReader(r, max)); err != nil {
		var at *strictjson.MemberError
		if errors.As(err, &at) {
			return nil, &ManifestError{at.Path, at.Err}
		}
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Manifest) read(r *strictjson.Reader) error {
	var count, total uint64
	err := r.Object([]strictjson.Member{
		{Name: "datastore_id", Required: true, Read: readHash(m.Store[:])},
		{Name: "capsule_count", Required: true, Read: readUint(&count, math.MaxUint32)},
		{Name: "merkle_root", Required: true, Read: readHash(m.Root[:])},
		{Name: "total_size", Required: true, Read: readUint(&total, math.MaxUint64)},
		{Name: "creation_time", Required: true, Read: readUint(&m.Created, math.MaxUint64)},
		{Name: "capsules", Required: true, Read: m.readCapsules},
		{Name: "parent_root", Read: func(r *strictjson.Reader) error {
			if null, err := r.Null(); null || err != nil {
				return err
			}
			return readHash(m.Parent[:])(r)
		}},
		{Name: "generation", Read: readUint(&m.Generation, math.MaxUint64)},
		{Name: "root_signature", Read: readHex(m.Signature[:])},
		{Name: "writer_key", Read: readHex(m.Writer[:])},
	})
	if err != nil {
		return err
	}
	if err := r.End(); err != nil {
		return err
	}
	if uint64(len(m.Capsules)) != count {
		return &ManifestError{"capsule_count", fmt.Errorf("found %d, %d capsules are listed", count,
			len(m.Capsules))}
	}
	if size := m.Size(); size != total { // at most 2^32 sizes below 2^32: no overflow
		return &ManifestError{"total_size", fmt.Errorf("found %d, sizes add up to %d", total, size)}
	}
	return nil
}

func (m *Manifest) readCapsules(r *strictjson.Reader) error {
	return r.Array(func(int) error {
		var d Descriptor
		var index, size uint64
		err := r.Object([]strictjson.Member{
			{Name: "index", Required: true, Read: readUint(&index, math.MaxUint32)},
			{Name: "hash", Required: true, Read: readHash(d.Hash[:])},
			{Name: "size", Required: true, Read: readUint(&size, MaxSize)},
			{Name: "chunk_root", Read: readHash(d.ChunkRoot[:])},
		})
		if err != nil {
			return err
		}
		d.Index, d.Size = uint32(index), uint32(size)
		m.Capsules = append(m.Capsules, d)
		return nil
	})
}

func readUint(v *uint64, max uint64) func(*strictjson.Reader) error {
	return func(r *strictjson.Reader) (err error) {
		*v, err = r.Uint(max)
		return err
	}
}

// readHash reads a 32-byte value, with or without 0x.
func readHash(dst []byte) func(*strictjson.Reader) error {
	return func(r *strictjson.Reader) error {
		s, err := r.Text(2 + 2*len(dst))
		if err != nil {
			return err
		}
		return parseHex(dst, strings.TrimPrefix(s, "0x"))
	}
}

// readHex reads a value in digits alone.
func readHex(dst []byte) func(*strictjson.Reader) error {
	return func(r *strictjson.Reader) error {
		s, err := r.Text(2 * len(dst))
		if err != nil {
			return err
		}
		return parseHex(dst, s)
	}
}

func parseHex(dst []byte, digits string) error {
	if len(digits) != 2*len(dst) {
		return fmt.Errorf("found %d characters, expected %d hexadecimal digits", len(digits),
			2*len(dst))
	}
	_, err := hex.Decode(dst, []byte(digits))
	return err
}
