package cuda_test

import (
	"errors"
	"log"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cuda"
)

// Work goes to the GPU where there is one, and to the CPU elsewhere.
func ExampleNew() {
	prover := new(capsule.Prover)
	w, err := cuda.New(nil)
	switch {
	case errors.Is(err, cuda.ErrUnavailable):
		log.Print(err)
	case err != nil:
		log.Fatal(err)
	default:
		defer w.Close()
		prover.Work = w
	}
}
