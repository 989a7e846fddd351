package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// random returns the n-th retrieval key of a sequence that no store has.
func random(n int) merkle.Hash { return merkle.Sum(fmt.Appendf(nil, "key %d", n)) }

// varied returns a site with resources of many shapes, and their keys with their sealed sizes.
func varied(t testing.TB, resources int,
	size func(i int) int) (*site, []merkle.Hash, map[int64]int) {
	t.Helper()
	fsys := fstest.MapFS{}
	for i := range resources {
		data := bytes.Repeat(fmt.Appendf(nil, "%08x", uint32(i)*2654435761), size(i)/8+1)[:size(i)]
		fsys[fmt.Sprintf("f%04d", i)] = &fstest.MapFile{Data: data}
	}
	s := newSite(t, 0, nil)
	mod, head, err := remotetest.Module(t.Context(), s.id, s.publisher, fsys,
		&module.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.memory.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
		t.Fatal(err)
	}
	s.heads, s.modules = append(s.heads, head), append(s.modules, mod)
	m, err := module.Open(bytes.NewReader(mod), int64(len(mod)))
	if err != nil {
		t.Fatal(err)
	}
	var keys []merkle.Hash
	sizes := map[int64]int{}
	for res, err := range m.Resources() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, res.Key())
		sizes[res.SealedSize()]++
	}
	return s, keys, sizes
}

func (s *site) open(t testing.TB, c *server.ResourceIndex, key merkle.Hash) *server.SealedResource {
	t.Helper()
	content, err := c.Open(t.Context(), module.ID{Store: s.id, Root: s.head().Root}, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { content.Close() })
	return content
}

func readContent(t testing.TB, c *server.SealedResource) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKeyedDecoys: a decoy is constant for one secret, its leaf is its hash, and its proof fails.
func TestKeyedDecoys(t *testing.T) {
	s, _, _ := varied(t, 9, func(i int) int { return 100 * i * i })
	contents, again := withSecret(s.stores), withSecret(s.stores)
	other := server.NewResourceIndex(s.stores, nil)
	for n := range 20 {
		c := s.open(t, contents, random(n))
		b := readContent(t, c)
		if c.Proof.Leaf != merkle.Sum(b) || c.Proof.Root != s.head().Root || c.Root != s.head().Root {
			t.Errorf("decoy %d: leaf or root are not those of the content and the generation", n)
		}
		if c.Proof.Check(c.Proof.Leaf, c.Root) == nil {
			t.Errorf("decoy %d proves", n)
		}
		var sum int64
		for _, l := range c.ChunkLens {
			sum += int64(l)
		}
		if sum != c.Size() {
			t.Errorf("decoy %d: chunks of %d bytes, content of %d", n, sum, c.Size())
		}
		if !bytes.Equal(b, readContent(t, s.open(t, again, random(n)))) {
			t.Errorf("decoy %d: not the same under the same secret", n)
		}
		if bytes.Equal(b, readContent(t, s.open(t, other, random(n)))) {
			t.Errorf("decoy %d: the same under another secret", n)
		}
	}
}

// TestDecoysAreReadFromAnywhere compares ranges with the whole, across cipher blocks.
func TestDecoysAreReadFromAnywhere(t *testing.T) {
	s, _, _ := varied(t, 1, func(int) int { return 300_000 })
	c := s.open(t, withSecret(s.stores), random(1))
	whole := readContent(t, c)
	for _, at := range []int{0, 1, 15, 16, 17, 65535, 262143, 262144, len(whole) - 1} {
		for _, n := range []int{1, 15, 16, 33, 262145} {
			p := make([]byte, n)
			got, err := c.ReadAt(p, int64(at))
			if wanted := min(n, len(whole)-at); got != wanted || (err != nil) != (wanted < n) ||
				!bytes.Equal(p[:got], whole[at:at+got]) {
				t.Errorf("%d bytes at %d: got %d, %v", n, at, got, err)
			}
		}
	}
}

// TestShapesOfDecoys checks by a chi-squared test that the lengths of many decoys have the
// distribution of the resources. The mean of the statistic is the number of shapes less one.
func TestShapesOfDecoys(t *testing.T) {
	const resources, draws = 24, 12_000
	s, keys, sizes := varied(t, resources, func(i int) int { return 10 + 37*i })
	contents := withSecret(s.stores)
	count := map[int64]int{}
	paths := map[int64]int{}
	for n := range draws {
		c, err := contents.Open(t.Context(), module.ID{Store: s.id, Root: s.head().Root}, random(n))
		if err != nil {
			t.Fatal(err)
		}
		count[c.Size()]++
		paths[c.Size()] = len(c.Proof.Path)
		c.Close()
	}
	var chi float64
	for size, n := range sizes {
		expected := float64(draws) * float64(n) / resources
		chi += math.Pow(float64(count[size])-expected, 2) / expected
	}
	df := float64(len(sizes) - 1)
	if limit := df + 4*math.Sqrt(2*df); len(count) != len(sizes) || chi > limit {
		t.Errorf("%d lengths of %d, chi squared %.1f, at most %.1f is likely", len(count),
			len(sizes), chi, limit)
	}
	for _, key := range keys {
		c := s.open(t, contents, key)
		if paths[c.Size()] != len(c.Proof.Path) {
			t.Errorf("resources of %d bytes have paths of %d steps, decoys %d", c.Size(),
				len(c.Proof.Path), paths[c.Size()])
		}
	}
}

func TestReferenceDecoyVectors(t *testing.T) {
	var file struct {
		Origin string `json:"origin"`
		Decoys []struct {
			Key   merkle.Hash `json:"retrieval_key"`
			Size  int64       `json:"size"`
			First vectors.Hex `json:"first32"`
			Sum   merkle.Hash `json:"sha256"`
		} `json:"decoys"`
	}
	vectors.Load(t, "store/decoy_node.json", &file)
	s, _, _ := varied(t, 3, func(i int) int { return i })
	contents := server.NewResourceIndex(s.stores,
		&server.ResourceIndexOptions{Decoys: server.DecoyReference})
	for _, v := range file.Decoys {
		c := s.open(t, contents, v.Key)
		b := readContent(t, c)
		if c.Size() != v.Size || !bytes.HasPrefix(b, v.First) ||
			merkle.Sum(b) != v.Sum || c.Proof != nil {
			t.Errorf("key %s: %d bytes, SHA-256 %s", v.Key, c.Size(), merkle.Sum(b))
		}
	}
	vectors.Count(t, "store/decoy_node.json", len(file.Decoys), 0)
}

func TestReferenceDecoysOfTheSpec(t *testing.T) {
	s, _, _ := varied(t, 1, func(i int) int { return i })
	contents := server.NewResourceIndex(s.stores,
		&server.ResourceIndexOptions{Decoys: server.DecoyReference})
	for b, want := range map[byte]string{
		0xab: "4301b74839bdafa982179ba4d6cf0557f119f41f5f316bb839e619ddb9a325b2",
		0x55: "49c2d2f8e7c888d8b5967fb22e032588e0de3fab09738bc1c9ae1e924af378eb",
	} {
		got := merkle.Sum(readContent(t, s.open(t, contents, merkle.Hash(bytes.Repeat([]byte{b}, 32)))))
		if got.String() != want {
			t.Errorf("key of %#x: %s", b, got)
		}
	}
}

// vectorModule opens one of the vectors' modules.
func vectorModule(t testing.TB, name string) *module.Module {
	t.Helper()
	b := vectors.File(t, "store/modules/"+name+".dig")
	m, err := module.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// vectorModules opens the vectors' modules that are complete and have a resource.
func vectorModules(t testing.TB) (all []*module.Module) {
	t.Helper()
	for _, name := range vectors.Glob(t, "store/modules/*.dig") {
		b := vectors.File(t, name)
		m, err := module.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil || m.Verify(t.Context()) != nil { // a negative vector
			continue
		}
		if n, err := m.Len(); err == nil && n > 0 {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		t.Skip("no vector module has a resource")
	}
	return all
}

func TestGuestDecoyVectors(t *testing.T) {
	var file struct {
		Origin string `json:"origin"`
		Decoys []struct {
			Key        merkle.Hash `json:"retrieval_key"`
			Root       merkle.Hash `json:"root"`
			Size       int64       `json:"size"`
			First      vectors.Hex `json:"ciphertext_first32"`
			Sum        merkle.Hash `json:"ciphertext_sha256"`
			Leaf       merkle.Hash `json:"leaf"`
			Step       merkle.Hash `json:"step_hash"`
			StepLeft   bool        `json:"step_is_left"`
			Lens       []uint32    `json:"chunk_lens"`
			Response   merkle.Hash `json:"content_response_sha256"`
			ProofBytes vectors.Hex `json:"proof_prelude"`
		} `json:"decoys"`
	}
	vectors.Load(t, "store/decoy_guest.json", &file)
	modules, skipped := vectorModules(t), 0
	for _, v := range file.Decoys {
		at := slices.IndexFunc(modules, func(m *module.Module) bool { return m.ID().Root == v.Root })
		if at < 0 {
			t.Logf("key %s: no module has root %s", v.Key, v.Root)
			skipped++
			continue
		}
		m := modules[at]
		memory := remotetest.NewMemory(m.ID().Store, nil)
		if err := memory.Add(t.Context(), signedAs(m), m.Reader()); err != nil {
			t.Fatal(err)
		}
		contents := server.NewResourceIndex(remotetest.NewStores(nil, memory),
			&server.ResourceIndexOptions{Decoys: server.DecoyGuest})
		guest := remotetest.Guest{Module: m}
		request := module.ContentRequest{Key: v.Key}
		encoded, _ := request.MarshalBinary()
		answer, err := guest.Content(t.Context(), encoded)
		if err != nil || merkle.Sum(answer) != v.Response {
			t.Errorf("key %s: response %s, %v", v.Key, merkle.Sum(answer), err)
		}
		prelude := module.ProofRequest{Key: v.Key}
		encoded, _ = prelude.MarshalBinary()
		if got, err := guest.Proof(t.Context(), encoded); err != nil || !bytes.Equal(got, v.ProofBytes) {
			t.Errorf("key %s: prelude %x, %v", v.Key, got, err)
		}
		// The node's decoys of this kind are the same.
		c, err := contents.Open(t.Context(), m.ID(), v.Key)
		if err != nil {
			t.Fatal(err)
		}
		sealed := readContent(t, c)
		if c.Size() != v.Size || !bytes.HasPrefix(sealed, v.First) || merkle.Sum(sealed) != v.Sum ||
			!slices.Equal(c.ChunkLens, v.Lens) ||
			c.Root != v.Root || c.Proof.Leaf != v.Leaf || len(c.Proof.Path) != 1 ||
			c.Proof.Path[0] != (merkle.Step{Hash: v.Step, Left: v.StepLeft}) {
			t.Errorf("key %s: got %d bytes in %v, proof %v", v.Key, c.Size(), c.ChunkLens, c.Proof)
		}
		c.Close()
	}
	vectors.Count(t, "store/decoy_guest.json", len(file.Decoys)-skipped, skipped)
}

func TestGuestServingVectors(t *testing.T) {
	var file struct {
		Origin string `json:"origin"`
		Cases  []struct {
			Name    string       `json:"name"`
			Request vectors.Hex  `json:"request"`
			Module  string       `json:"module"`
			Clock   int64        `json:"clock"`
			Hex     vectors.Hex  `json:"response_hex"`
			Len     int          `json:"response_len"`
			Sum     *merkle.Hash `json:"response_sha256"`
			Error   int          `json:"error"`
		} `json:"cases"`
	}
	vectors.Load(t, "store/guest_serving.json", &file)
	for _, v := range file.Cases {
		guest := remotetest.Guest{Module: vectorModule(t, v.Module), Now: func() time.Time {
			return time.Unix(v.Clock, 0)
		}}
		got, err := guest.Content(t.Context(), v.Request)
		switch {
		case (err != nil) != (v.Error != 0):
			t.Errorf("%s: %v", v.Name, err)
		case v.Hex != nil && !bytes.Equal(got, v.Hex):
			t.Errorf("%s: got %x", v.Name, clip(got))
		case v.Sum != nil && (len(got) != v.Len || sha256.Sum256(got) != [32]byte(*v.Sum)):
			t.Errorf("%s: %d bytes, SHA-256 %x", v.Name, len(got), sha256.Sum256(got))
		}
	}
	vectors.Count(t, "store/guest_serving.json", len(file.Cases), 0)
}

// TestGuestOptionTags: the guest treats any option tag but 1 as an absent option.
func TestGuestOptionTags(t *testing.T) {
	guest := remotetest.Guest{Module: vectorModules(t)[0]} // any will do
	var content, proof []byte
	for res, err := range guest.Module.Resources() {
		if err != nil {
			t.Fatal(err)
		}
		content, _ = (&module.ContentRequest{Key: res.Key()}).MarshalBinary()
		proof, _ = (&module.ProofRequest{Key: res.Key(), Nonce: [32]byte{1, 2}}).MarshalBinary()
		break
	}
	for _, c := range []struct {
		name    string
		ask     func(context.Context, []byte) ([]byte, error)
		request []byte
		tags    []int
	}{
		{"content", guest.Content, content, []int{32, 33, 34, 35}},
		{"proof", guest.Proof, proof, []int{32}},
	} {
		want, err := c.ask(t.Context(), c.request)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range c.tags {
			for _, tag := range []byte{2, 0xff} {
				odd := bytes.Clone(c.request)
				odd[at] = tag
				if got, err := c.ask(t.Context(), odd); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s with tag %d at %d: %d bytes, %v, want %d", c.name, tag, at,
						len(got), err, len(want))
				}
			}
			if _, err := c.ask(t.Context(), c.request[:at]); err == nil {
				t.Errorf("%s cut at %d: answered", c.name, at)
			}
		}
	}
}

// TestGuestAnswersVectors compares the responses for existing resources with modules.json.
func TestGuestAnswersVectors(t *testing.T) {
	var file struct {
		Modules []struct {
			File      string `json:"file"`
			Resources []struct {
				Key      merkle.Hash `json:"retrieval_key"`
				Response merkle.Hash `json:"content_response_sha256"`
				Prelude  vectors.Hex `json:"proof_prelude_nonce_09"`
			} `json:"resources"`
		} `json:"modules"`
	}
	vectors.Load(t, "store/modules.json", &file)
	n := 0
	for _, mod := range file.Modules {
		b := vectors.File(t, "store/"+mod.File)
		m, err := module.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range mod.Resources {
			request := module.ProofRequest{Key: v.Key, Nonce: [32]byte(bytes.Repeat([]byte{9}, 32))}
			encoded, _ := request.MarshalBinary()
			if got, err := (remotetest.Guest{Module: m}).Proof(t.Context(), encoded); err != nil ||
				!bytes.Equal(got, v.Prelude) {
				t.Errorf("%s, key %s: got %x, %v", mod.File, v.Key, got, err)
			}
			content := module.ContentRequest{Key: v.Key}
			encoded, _ = content.MarshalBinary()
			if got, err := (remotetest.Guest{Module: m}).Content(t.Context(), encoded); err != nil ||
				merkle.Sum(got) != v.Response {
				t.Errorf("%s, key %s: response %s, %v", mod.File, v.Key, merkle.Sum(got), err)
			}
			n++
		}
	}
	vectors.Count(t, "store/modules.json, answers", n, 0)
}

// signedAs returns the SignedRoot of a vector's generation, without valid signatures.
func signedAs(m *module.Module) auth.SignedRoot {
	return auth.SignedRoot{Store: m.ID().Store, Root: m.ID().Root, PublicKey: m.PublicKey()}
}
