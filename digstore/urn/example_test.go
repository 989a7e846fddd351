package urn_test

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/digstore/urn"
)

const store = "315feb2cf38986e996e60c18f22a5c64c2e5c45f7204b52396a1eedf6cd2c70b"

// Whoever knows the address of a resource can find it and read it.
func Example() {
	u, err := urn.Parse("urn:dig:chia:" + store + "/hello.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ask for", u.RetrievalKey())

	sealed := u.Key(nil).Seal(nil, []byte("hello"))
	plain, err := u.Key(nil).Open(nil, sealed)
	fmt.Printf("%d sealed bytes open to %q, %v\n", len(sealed), plain, err)
	// Output:
	// ask for 8d8fa557169f0b2881b0e3b076cfc12f9acfa4455fb7d2e69e58c1d302a47705
	// 21 sealed bytes open to "hello", <nil>
}

// A root in an address says which generation is meant; the keys stay the same.
func ExampleURN_At() {
	u, _ := urn.Parse("urn:dig:chia:" + store + "/hello.txt")
	old := u.At([32]byte{1})
	fmt.Println(old.RetrievalKey() == u.RetrievalKey(), old.IdentityHash() == u.IdentityHash())
	// Output: true false
}

// A store without a resource means its index page.
func ExampleURN_Name() {
	u, _ := urn.Parse("urn:dig:chia:" + store)
	fmt.Println(u.Whole, u.Name())
	// Output: true index.html
}

// A private store's chunks open only with its salt.
func ExampleURN_Key() {
	u, _ := urn.Parse("urn:dig:chia:" + store + "/hello.txt")
	salt := &urn.Salt{1, 2, 3} // from a file that only the owner has
	sealed := u.Key(salt).Seal(nil, []byte("hello"))
	_, err := u.Key(nil).Open(nil, sealed)
	fmt.Println(errors.Is(err, urn.ErrSealed))
	// Output: true
}
