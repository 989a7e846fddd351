package prove_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node/prove"
)

type slow struct{ running chan bool }

func (s slow) Answer(ctx context.Context, _ *capsule.Challenge) (*capsule.Bundle, error) {
	close(s.running)
	<-ctx.Done()
	return nil, ctx.Err()
}

func Example() {
	a := slow{make(chan bool)}
	p := prove.New(a, &prove.Options{Workers: 1, Queue: -1})
	ctx, cancel := context.WithCancel(context.Background())
	go p.Answer(ctx, &capsule.Challenge{ID: "1"})
	<-a.running
	_, err := p.Answer(ctx, &capsule.Challenge{ID: "2"})
	fmt.Println(errors.Is(err, prove.ErrBusy))
	cancel()
	// Output: true
}
