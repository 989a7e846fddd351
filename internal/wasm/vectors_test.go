package wasm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/internal/wasm"
)

// address is where a .dig file has its content. See digstore/module/FORMAT.md 3.2.
const address = 2097152

// digs recognises the content of a store.
func digs(p io.ReaderAt, n int64) bool {
	var magic [4]byte
	if n < int64(len(magic)) {
		return false
	}
	_, err := p.ReadAt(magic[:], 0)
	return err == nil && string(magic[:]) == "DIGS"
}

// scan finds the last matching segment of a stream.
func scan(r io.Reader) (at, n int64, err error) {
	s := wasm.NewScanner(r, address)
	found := false
	for {
		m, err := s.Next()
		if err == io.EOF && found {
			return at, n, nil
		}
		if err == io.EOF {
			return 0, 0, wasm.ErrNoSegment
		}
		if err != nil {
			return 0, 0, err
		}
		start := s.Offset()
		var head [4]byte
		k, err := io.ReadFull(r, head[:min(m, 4)])
		if err == nil {
			_, err = io.CopyN(io.Discard, r, m-int64(k))
		}
		if err != nil { // the stream ends inside a payload, which is the caller's to find
			return 0, 0, fmt.Errorf("%w: %w", wasm.ErrModule, err)
		}
		if m >= 4 && string(head[:]) == "DIGS" {
			at, n, found = start, m, true
		}
	}
}

func TestModuleVectors(t *testing.T) {
	const name = "store/modules.json"
	var file struct {
		StubHash vectors.Hex `json:"template_stub_sha256"`
		Modules  []struct {
			Name, File, Template string
			Length               int64 `json:"module_length"`
			BlobAt               int64 `json:"blob_file_offset"`
			BlobLength           int64 `json:"blob_length"`
			Valid                bool  `json:"wasm_valid"`
		}
		Negative []struct {
			Name, File string
			Error      *string `json:"reader_error"`
		}
	}
	vectors.Load(t, name, &file) // the rest is about the content
	passed := 0
	for _, c := range file.Modules {
		b := vectors.File(t, "store/"+c.File)
		at, n, err := wasm.Find(bytes.NewReader(b), int64(len(b)), address, digs)
		if err != nil || at != c.BlobAt || n != c.BlobLength || int64(len(b)) != c.Length {
			t.Errorf("%s: %d bytes at %d, %v, want %d at %d", c.Name, n, at, err, c.BlobLength, c.BlobAt)
			continue
		}
		if sat, sn, err := scan(bytes.NewReader(b)); err != nil || sat != at || sn != n {
			t.Errorf("%s: in a stream %d bytes at %d, %v", c.Name, sn, sat, err)
		}
		// else rekeyed: the reference's clone appends a blob
		if !bytes.Contains(b[:at], []byte("DIGS\x01\x00\x00\x00")) {
			prefix, suffix, err := wasm.Place(templates[c.Template](t), address, n)
			if err != nil || !bytes.Equal(prefix, b[:at]) || !bytes.Equal(suffix, b[at+n:]) {
				t.Errorf("%s: placed into template %s: %v\n%x\nwant\n%x", c.Name, c.Template, err, prefix,
					b[:at])
			}
		}
		imports, exports := guest()
		err = wasm.Check(b, imports, exports)
		if stub := c.Template == "stub"; (err == nil) != stub ||
			!stub && !errors.Is(err, wasm.ErrTemplate) {
			t.Errorf("%s: as a template: %v", c.Name, err)
		}
		passed++
	}
	for _, c := range file.Negative {
		b := vectors.File(t, "store/"+c.File)
		var want error // others are about the content, which is found
		if c.Error != nil {
			want = map[string]error{"bad_wasm": wasm.ErrModule,
				"no_data_section": wasm.ErrNoSegment}[*c.Error]
		}
		_, _, err := wasm.Find(bytes.NewReader(b), int64(len(b)), address, digs)
		_, _, serr := scan(bytes.NewReader(b))
		if !errors.Is(err, want) || !errors.Is(serr, want) {
			t.Errorf("%s: %v, in a stream %v, want %v", c.Name, err, serr, want)
		}
		passed++
	}
	vectors.Count(t, name, passed, 0)
}

// Every blob of the content vectors comes back from the stub it is put into.
func TestBlobVectors(t *testing.T) {
	const name = "store/data_section.json"
	var file struct {
		Blobs []struct {
			Name string
			Blob vectors.Hex `json:"blob_hex"`
		}
	}
	vectors.Load(t, name, &file)
	for _, c := range file.Blobs {
		prefix, suffix, err := wasm.Place(stub(t), address, int64(len(c.Blob)))
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		b := append(append(prefix, c.Blob...), suffix...)
		at, n, err := wasm.Find(bytes.NewReader(b), int64(len(b)), address, digs)
		if err != nil || !bytes.Equal(b[at:at+n], c.Blob) {
			t.Errorf("%s: %d bytes at %d, %v", c.Name, n, at, err)
		}
	}
	vectors.Count(t, name+" blobs", len(file.Blobs), 0)
}

var templates = map[string]func(testing.TB) []byte{
	"stub":        stub,
	"memory-only": func(testing.TB) []byte { return []byte("\x00asm\x01\x00\x00\x00\x05\x03\x01\x00\x01") },
}

func stub(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/stub.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// guest has the imports and exports of a template.
func guest() (imports []wasm.Import, exports []wasm.Export) {
	for _, name := range []string{"host_get_public_key", "host_create_attestation",
		"host_establish_session", "host_verify_session",
		"jwks_fetch", "host_get_current_time", "host_random_bytes", "host_read_return_buffer"} {
		imports = append(imports, wasm.Import{Module: "dig_host", Name: name, Kind: wasm.Func})
	}
	for _, name := range []string{"get_store_id", "get_current_roothash", "get_roothash_history",
		"get_public_key", "get_metadata",
		"get_authentication_info", "get_content", "get_proof", "alloc", "dealloc", "init"} {
		exports = append(exports, wasm.Export{Name: name, Kind: wasm.Func})
	}
	return imports, append(exports, wasm.Export{Name: "memory", Kind: wasm.Memory})
}
