package module_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// build makes a module of two files, for the examples.
func build() []byte {
	b := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{2}, nil)
	defer b.Close()
	for _, name := range []string{"index.html", "about.html"} {
		if err := b.Add(context.Background(), name, strings.NewReader("this is "+name)); err != nil {
			panic(err)
		}
	}
	var file bytes.Buffer
	if _, err := b.Build(context.Background(), &file); err != nil {
		panic(err)
	}
	return file.Bytes()
}

// A reader who knows the root checks the module and reads a resource of it.
func Example() {
	file := build()
	// known from elsewhere
	trusted, _ := merkle.ParseHash("a5c452758a8e5f693005bd3d702b29cebcdb5a6080a717cf6e1a231cc6572051")

	m, err := module.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("is what it says it is:", m.Verify(context.Background()) == nil)
	fmt.Println("is what was asked for:", m.ID().Root == trusted)

	u := urn.URN{Store: m.ID().Store, Resource: "index.html"}
	r, err := m.Find(u.RetrievalKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	plain, err := r.Open(u.Key(nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := io.ReadAll(plain)
	fmt.Printf("%s, %v\n", text, err)
	// Output:
	// is what it says it is: true
	// is what was asked for: true
	// this is index.html, <nil>
}

// A Builder makes a module out of plaintext.
func ExampleBuilder() {
	b := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{2}, &module.Options{Padding: module.None()})
	defer b.Close()
	if err := b.Add(context.Background(), "hello.txt", strings.NewReader("hello")); err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	root, err := b.Build(context.Background(), &file)
	fmt.Println(root, file.Len(), err)
	// Output: 1219a4d14f8619438305b52ccacc1f3324000802b85a9e0b7187e8b9dadeab59 1192 <nil>
}

// One changed byte of content, and the module does not verify.
func ExampleModule_Verify() {
	file := build()
	m, _ := module.Open(bytes.NewReader(file), int64(len(file)))
	pool, _ := m.Section(module.SectionChunkPool)
	_, off, n := pool.Outer()
	file[off+n-1] ^= 1

	err := m.Verify(context.Background())
	var v *module.VerifyError
	fmt.Println(errors.As(err, &v), v.Mismatch)
	// Output: true content and leaf
}

// A pack is chunks one after the other, each with its length in front.
type pack struct {
	bytes.Buffer
	at map[merkle.Hash]int64
}

func (p *pack) put(c module.Chunk, sealed []byte) error {
	p.at[c.ID] = int64(p.Len())
	binary.Write(p, binary.BigEndian, c.Len)
	_, err := p.Write(sealed)
	return err
}

func (p *pack) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	return bytes.NewReader(p.Bytes()), p.at[c.ID], nil
}

// A store keeps chunks and recipes, and gives back the modules they came from.
func ExampleDecompose() {
	file := build()
	p := &pack{at: make(map[merkle.Hash]int64)}
	recipe, err := module.Decompose(context.Background(), bytes.NewReader(file), p.put)
	if err != nil {
		fmt.Println(err)
		return
	}
	kept, _ := recipe.MarshalBinary()

	again, err := module.ParseRecipe(kept)
	if err != nil {
		fmt.Println(err)
		return
	}
	var back bytes.Buffer
	_, err = again.Image(p).WriteTo(&back)
	fmt.Println(len(recipe.Pool()), "chunks; the same bytes:", bytes.Equal(back.Bytes(), file), err)
	// Output: 2 chunks; the same bytes: true <nil>
}

// A module can be laid out from ids alone; its root is known before a chunk is
// touched.
func ExampleCompose() {
	sealed := urn.NewKey(auth.StoreID{1}, "hello.txt", nil).Seal(nil, []byte("hello"))
	entry := module.Entry{
		Key:    urn.RetrievalKey(auth.StoreID{1}, "hello.txt"),
		Chunks: []module.Chunk{{ID: merkle.Sum(sealed), Len: uint32(len(sealed))}},
	}
	recipe, err := module.Compose(auth.StoreID{1}, auth.PublicKey{2}, []module.Entry{entry}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(recipe.Root() == merkle.Sum(sealed), recipe.Size(), entry.Size())
	// Output: true 4672 5
}
