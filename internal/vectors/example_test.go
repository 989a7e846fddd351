package vectors_test

import (
	"encoding/json"
	"fmt"

	"github.com/dig-network/digstore/internal/vectors"
)

// A vector file says how to make long data instead of holding it.
func ExampleInput() {
	var c struct {
		Input vectors.Input
		Want  vectors.Hex
	}
	err := json.Unmarshal([]byte(`{
		"input": {"kind": "repeat", "byte": 255, "length": 4},
		"want": "FFFFFFFF"
	}`), &c)
	fmt.Println(len(c.Input), c.Want, err)
	// Output: 4 ffffffff <nil>
}
