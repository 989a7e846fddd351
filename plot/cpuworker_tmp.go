package plot

import (
	"context"

	"github.com/dig-network/digstore/capsule"
)

type simpleWorker struct{}

func (simpleWorker) Name() string { return "cpu" }
func (simpleWorker) Search(ctx context.Context, in capsule.WorkInput, bits int) (uint64, error) {
	for n := uint64(0); ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if capsule.ZeroBits(in.Hash(n)) >= bits {
			return n, nil
		}
	}
}
