package module_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// modulesFile is store/modules.json.
type modulesFile struct {
	Origin   string         `json:"origin"`
	StubSum  merkle.Hash    `json:"template_stub_sha256"`
	Modules  []moduleCase   `json:"modules"`
	Negative []negativeCase `json:"negative"`
}

type negativeCase struct {
	Name  string  `json:"name"`
	File  string  `json:"file"`
	Error *string `json:"reader_error"`
	Note  string  `json:"note"`
}

type moduleCase struct {
	Name          string         `json:"name"`
	File          string         `json:"file"`
	Note          string         `json:"note"`
	Template      string         `json:"template"`
	Length        int64          `json:"module_length"`
	Sum           merkle.Hash    `json:"module_sha256"`
	WasmValid     bool           `json:"wasm_valid"`
	Store         auth.StoreID   `json:"store_id"`
	Root          merkle.Hash    `json:"root"`
	PublicKey     auth.PublicKey `json:"public_key"`
	PublisherSeed vectors.Hex    `json:"publisher_seed"`
	PushSignature auth.Signature `json:"push_signature"`
	Salt          vectors.Hex    `json:"secret_salt"`
	PreEncrypted  bool           `json:"pre_encrypted"`
	Uniform       int64          `json:"uniform_blob_len"`
	BlobOffset    int64          `json:"blob_file_offset"`
	BlobLength    int64          `json:"blob_length"`
	BlobSum       merkle.Hash    `json:"blob_sha256"`
	Sections      []struct {
		ID     module.Section `json:"id"`
		Offset int64          `json:"offset"`
		Length int64          `json:"length"`
		Sum    merkle.Hash    `json:"sha256"`
	} `json:"sections"`
	Leaves    []merkle.Hash  `json:"leaves"`
	PoolCount int            `json:"pool_chunk_count"`
	Chain     *chainFields   `json:"chain_state"`
	Metadata  metadataFields `json:"metadata"`
	AuthInfo  authInfoFields `json:"auth_info"`
	Labels    []string       `json:"trusted_key_labels"`
	Manifest  struct {
		Chunks []struct {
			Index uint32      `json:"index"`
			Hash  merkle.Hash `json:"hash"`
			Size  int64       `json:"size"`
		} `json:"chunks"`
		KeyTable []struct {
			Resource   string      `json:"resource_key"`
			Key        merkle.Hash `json:"static_key"`
			Generation merkle.Hash `json:"generation"`
			Indices    []uint32    `json:"chunk_indices"`
			TotalSize  int64       `json:"total_size"`
		} `json:"key_table"`
	} `json:"manifest_json_view"`
	Resources []resourceCase `json:"resources"`
}

type resourceCase struct {
	Key          string        `json:"key"`
	Plain        vectors.Hex   `json:"plaintext_hex"`
	PlainGen     vectors.Input `json:"plaintext_gen"`
	PlainSum     merkle.Hash   `json:"plaintext_sha256"`
	URN          urn.URN       `json:"urn"`
	RetrievalKey merkle.Hash   `json:"retrieval_key"`
	AESKey       vectors.Hex   `json:"aes_key"`
	Indices      []uint32      `json:"chunk_indices"`
	TotalSize    int64         `json:"key_table_total_size"`
	ChunkLens    []uint32      `json:"chunk_lens"`
	ChunkSums    []merkle.Hash `json:"chunk_sha256"`
	Leaf         merkle.Hash   `json:"leaf"`
	LeafIndex    int64         `json:"leaf_index"`
	Proof        vectors.Hex   `json:"proof_encoded"`
	SealedSum    merkle.Hash   `json:"ciphertext_sha256"`
	ResponseSum  merkle.Hash   `json:"content_response_sha256"`
	ResponseLen  int           `json:"content_response_len"`
	Response     vectors.Hex   `json:"content_response_hex"`
	Prelude      vectors.Hex   `json:"proof_prelude_nonce_09"`
}

func (r *resourceCase) plain() []byte {
	if r.PlainGen != nil {
		return r.PlainGen
	}
	return r.Plain
}

func (c *moduleCase) salt() *urn.Salt {
	if c.Salt == nil {
		return nil
	}
	return (*urn.Salt)(c.Salt)
}

func loadModules(t *testing.T) (v modulesFile) {
	t.Helper()
	vectors.Load(t, "store/modules.json", &v)
	return v
}

func open(t *testing.T, b []byte) *module.Module {
	t.Helper()
	m, err := module.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestModuleVectors(t *testing.T) {
	v := loadModules(t)
	for _, c := range v.Modules {
		t.Run(c.Name, func(t *testing.T) {
			b := vectors.File(t, "store/"+c.File)
			if int64(len(b)) != c.Length || merkle.Sum(b) != c.Sum {
				t.Fatalf("the file is %d bytes, %v, want %d, %v", len(b), merkle.Sum(b), c.Length, c.Sum)
			}
			checkModule(t, &c, open(t, b))

			src := newMemory()
			r, err := module.Decompose(t.Context(), bytes.NewReader(b), src.put)
			if err != nil {
				t.Fatal(err)
			}
			m, err := r.Module(src)
			if err != nil {
				t.Fatal(err)
			}
			checkModule(t, &c, m)
		})
	}
	vectors.Count(t, "store/modules.json", len(v.Modules), 0)
}

// checkModule holds a module to everything that its vector says.
func checkModule(t *testing.T, c *moduleCase, m *module.Module) {
	t.Helper()
	if m.ID() != (module.ID{Store: c.Store, Root: c.Root}) || m.PublicKey() != c.PublicKey ||
		m.Size() != c.Length {
		t.Errorf("module %v of %v, %d bytes", m.ID(), m.PublicKey(), m.Size())
	}
	if err := m.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	signed := auth.SignedRoot{Store: c.Store, Root: c.Root, PublicKey: m.PublicKey(),
		Tagged: c.PushSignature}
	if err := signed.Check(); err != nil {
		t.Error(err)
	}
	for _, s := range c.Sections {
		r, err := m.Section(s.ID)
		if err != nil {
			t.Error(err)
			continue
		}
		body, err := io.ReadAll(r)
		if err != nil || int64(len(body)) != s.Length || merkle.Sum(body) != s.Sum {
			t.Errorf("%v: %d bytes, %v, want %d", s.ID, len(body), err, s.Length)
		}
		if s.ID == module.SectionChunkPool && len(body) >= 4 &&
			int(body[3])+int(body[2])<<8 != c.PoolCount {
			t.Errorf("pool of %x chunks, want %d", body[:4], c.PoolCount)
		}
	}
	blob, err := io.ReadAll(io.NewSectionReader(m.Reader(), c.BlobOffset, c.BlobLength))
	if err != nil || merkle.Sum(blob) != c.BlobSum || (c.Uniform > 0 && c.BlobLength != c.Uniform) {
		t.Errorf("data of %d bytes, %v", len(blob), err)
	}
	checkManifests(t, c, m)
	var keys []merkle.Hash
	for r, err := range m.Resources() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, r.Key())
	}
	for i, res := range c.Resources {
		if i >= len(keys) || keys[i] != res.RetrievalKey {
			t.Errorf("resource %d of %d is not %q", i, len(keys), res.Key)
		}
		checkResource(t, c, &res, m)
	}
	for i, e := range c.Manifest.KeyTable {
		if e.Resource != c.Resources[i].Key || e.Key != keys[i] || e.Generation != c.Root {
			t.Errorf("manifest row %d is %+v", i, e)
		}
	}
	if n, err := m.Len(); err != nil || n != len(c.Resources) {
		t.Errorf("%d resources, %v, want %d", n, err, len(c.Resources))
	}
}

func checkManifests(t *testing.T, c *moduleCase, m *module.Module) {
	t.Helper()
	if h, err := m.History(); err != nil || len(h) != 1 || h[0] != c.Root {
		t.Errorf("history %v, %v", h, err)
	}
	md, err := m.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	checkMetadata(t, c.Name, md, &c.Metadata)
	ai, err := m.AuthInfo()
	if err != nil {
		t.Fatal(err)
	}
	if want := c.AuthInfo.value(); !equalEncoding(t, ai, &want) {
		t.Errorf("auth info %+v, want %+v", ai, want)
	}
	keys, err := m.TrustedKeys()
	if err != nil || len(keys) != len(c.Labels) {
		t.Errorf("trusted keys %v, %v, want %v", keys, err, c.Labels)
	}
	for i, k := range keys {
		if k.Label != c.Labels[i] {
			t.Errorf("trusted key %d has the label %q, want %q", i, k.Label, c.Labels[i])
		}
	}
	cs, err := m.ChainState()
	switch {
	case c.Chain == nil && !isNotExist(err):
		t.Errorf("chain state %+v, %v, want none", cs, err)
	case c.Chain != nil && (err != nil || *cs != *c.chainState()):
		t.Errorf("chain state %+v, %v, want %+v", cs, err, c.Chain)
	}
}

func (c *moduleCase) chainState() *module.ChainState {
	if c.Chain == nil {
		return nil
	}
	return c.Chain.value()
}

func checkResource(t *testing.T, c *moduleCase, want *resourceCase, m *module.Module) {
	t.Helper()
	if want.URN.RetrievalKey() != want.RetrievalKey || want.URN.Resource != want.Key {
		t.Errorf("%v is not the address of %q", want.URN, want.Key)
	}
	r, err := m.Find(want.RetrievalKey)
	if err != nil {
		t.Errorf("%q: %v", want.Key, err)
		return
	}
	var lens []uint32
	for i, ch := range r.Chunks() {
		lens = append(lens, ch.Len)
		if !ch.ID.IsZero() && ch.ID != want.ChunkSums[i] {
			t.Errorf("%q: chunk %d is %v, want %v", want.Key, i, ch.ID, want.ChunkSums[i])
		}
	}
	if !slices.Equal(lens, want.ChunkLens) || len(lens) != len(want.Indices) ||
		r.SealedSize() != want.TotalSize {
		t.Errorf("%q: chunks of %v bytes, want %v", want.Key, lens, want.ChunkLens)
	}
	sealed, err := io.ReadAll(r.Sealed())
	if err != nil || merkle.Sum(sealed) != want.SealedSum || r.Leaf() != want.Leaf {
		t.Errorf("%q: %d sealed bytes, leaf %v, %v", want.Key, len(sealed), r.Leaf(), err)
	}
	if err := r.Verify(t.Context()); err != nil {
		t.Errorf("%q: %v", want.Key, err)
	}
	proof, err := r.Proof()
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := proof.MarshalBinary(); !bytes.Equal(b, want.Proof) {
		t.Errorf("%q: proof %x, want %v", want.Key, b, want.Proof)
	}
	if err := proof.CheckAt(merkle.Sum(sealed), c.Root, want.LeafIndex,
		int64(len(c.Leaves))); err != nil || c.Leaves[want.LeafIndex] != r.Leaf() {
		t.Errorf("%q: %v", want.Key, err)
	}
	response, err := (&module.ContentResponse{Sealed: sealed, Proof: proof, Root: m.ID().Root,
		ChunkLens: lens}).MarshalBinary()
	if err != nil || merkle.Sum(response) != want.ResponseSum ||
		(want.Response != nil && !bytes.Equal(response, want.Response)) {
		t.Errorf("%q: response %v, %v", want.Key, merkle.Sum(response), err)
	}
	checkPlain(t, c, want, r)
}

func checkPlain(t *testing.T, c *moduleCase, want *resourceCase, r *module.Resource) {
	t.Helper()
	if c.PreEncrypted {
		sealed, _ := io.ReadAll(r.Sealed())
		if !bytes.Equal(sealed, want.plain()) {
			t.Errorf("%q: sealed bytes are not those that were staged", want.Key)
		}
		return
	}
	p, err := r.Open(want.URN.Key(c.salt()))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(p)
	if err != nil || !bytes.Equal(plain, want.plain()) || merkle.Sum(plain) != want.PlainSum ||
		p.Size() != int64(len(plain)) {
		t.Errorf("%q: %d plain bytes, %v, want %d", want.Key, len(plain), err, len(want.plain()))
	}
	wrong, err := r.Open((urn.URN{Store: c.Store, Resource: want.Key + "?"}).Key(c.salt()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(wrong); !errors.Is(err, urn.ErrSealed) {
		t.Errorf("%q: with another key: %v", want.Key, err)
	}
}

// rekeyed reports whether a module has two blobs, as the reference's clone makes them: the second
// is appended by a rule of its own.
func rekeyed(b []byte) bool { return bytes.Count(b, []byte("DIGS\x01\x00\x00\x00")) > 1 }

// Modules whose template is the stub come out bit for bit.
func TestBuildVectors(t *testing.T) {
	v := loadModules(t)
	built := 0
	for _, c := range v.Modules {
		if c.Template != "stub" || rekeyed(vectors.File(t, "store/"+c.File)) {
			continue
		}
		built++
		t.Run(c.Name, func(t *testing.T) {
			want := vectors.File(t, "store/"+c.File)
			o := buildOptions(t, &c, open(t, want))
			b := module.NewBuilder(c.Store, c.PublicKey, o)
			defer b.Close()
			for _, r := range c.Resources {
				var err error
				if c.PreEncrypted {
					err = b.AddSealed(t.Context(), r.Key, r.plain())
				} else {
					err = b.Add(t.Context(), r.Key, bytes.NewReader(r.plain()))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			var got bytes.Buffer
			root, err := b.Build(t.Context(), &got)
			if err != nil || root != c.Root {
				t.Errorf("root %v, %v, want %v", root, err, c.Root)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d bytes differ from the %d of the vector at %d", got.Len(), len(want),
					differ(got.Bytes(), want))
			}

			// The same from the ids of its chunks alone.
			src := newMemory()
			apart, err := module.Decompose(t.Context(), bytes.NewReader(want), src.put)
			if err != nil {
				t.Fatal(err)
			}
			r, err := module.Compose(c.Store, c.PublicKey, slices.Collect(apart.Entries()), o)
			if err != nil {
				t.Fatal(err)
			}
			if got := image(t, r, src); !bytes.Equal(got, want) {
				t.Errorf("composed: %d bytes differ from the %d of the vector at %d", len(got),
					len(want), differ(got, want))
			}
			a, _ := apart.MarshalBinary()
			if b, _ := r.MarshalBinary(); !bytes.Equal(a, b) {
				t.Error("composed and taken apart have different recipes")
			}
		})
	}
	vectors.Count(t, "store/modules.json (built)", built, len(v.Modules)-built)
}

func buildOptions(t *testing.T, c *moduleCase, m *module.Module) *module.Options {
	t.Helper()
	o := &module.Options{Padding: module.Uniform(c.Uniform), Salt: c.salt(),
		ChainState: c.chainState(), Metadata: c.Metadata.value(t)}
	if slices.ContainsFunc(c.Sections, func(s struct {
		ID     module.Section `json:"id"`
		Offset int64          `json:"offset"`
		Length int64          `json:"length"`
		Sum    merkle.Hash    `json:"sha256"`
	}) bool {
		return s.ID == module.SectionPublicManifest
	}) {
		var err error
		if o.PublicManifest, err = m.PublicManifest(); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestStub(t *testing.T) {
	v := loadModules(t)
	if stub := module.Stub(); len(stub) != 566 || merkle.Sum(stub) != v.StubSum {
		t.Errorf("stub of %d bytes, %v, want 566, %v", len(stub), merkle.Sum(stub), v.StubSum)
	}
}

// The lighter reader is Find and VerifyLeaves without asking for a key.
func TestNegativeVectors(t *testing.T) {
	v := loadModules(t)
	for _, c := range v.Negative {
		b := vectors.File(t, "store/"+c.File)
		m, err := module.Open(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			err = m.VerifyLeaves()
		}
		if got, want := class(err), c.Error; want == nil {
			if m == nil || got != "missing_section_4" {
				t.Errorf("%s: %v, want a module without a key", c.Name, err)
			}
		} else if got != *want {
			t.Errorf("%s: %v is %q, want %q", c.Name, err, got, *want)
		}
	}
	vectors.Count(t, "store/modules.json (negative)", len(v.Negative), 0)
}

// class returns the class of an error in the words of the vectors.
func class(err error) string {
	var format *module.FormatError
	var verify *module.VerifyError
	switch {
	case errors.As(err, &verify) && errors.Is(err, module.ErrVerify):
		return map[module.Mismatch]string{module.RootMismatch: "root_mismatch"}[verify.Mismatch]
	case errors.As(err, &format) && errors.Is(err, module.ErrFormat):
		switch format.Fault {
		case module.NotWasm:
			return "bad_wasm"
		case module.NoDataSection:
			return "no_data_section"
		case module.BadBlob:
			return "bad_blob"
		case module.MissingSection:
			return "missing_section_" + strconv.Itoa(int(format.Section))
		case module.BadLength:
			return "bad_section_length"
		}
	}
	return "none"
}
