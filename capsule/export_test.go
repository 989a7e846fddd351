package capsule

import (
	"context"

	"github.com/dig-network/digstore/auth"
)

// SignBundle signs b as it is, as a dishonest node would.
func SignBundle(ctx context.Context, b *Bundle, by auth.NodeSigner) error { return b.sign(ctx, by) }

// SignOwnership signs the ownership proof of b for the challenge digest that stands in b.
func SignOwnership(ctx context.Context, b *Bundle, by auth.NodeSigner) (err error) {
	m := b.Ownership.message(b.ChallengeDigest)
	b.Ownership.Signature, err = by.Sign(ctx, m[:])
	return err
}

// AccessIndices returns the chunks that c leads to through content.
func AccessIndices(c *Challenge, node auth.NodePublicKey, plot PlotIdentity,
	content []byte) []uint32 {
	var list []uint32
	w := newAccessWalk(c, node, plot.ID(), ChunkCount(uint32(len(content))))
	for {
		i, ok := w.next()
		if !ok {
			return list
		}
		list = append(list, i)
		at := int(i) * ChunkSize
		w.step(content[at : at+chunkLen(uint32(len(content)), i)])
	}
}

// OverflowAnswers has r drop the bundles that it keeps, as it does when they take too much memory.
func OverflowAnswers(r *Responder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range r.order {
		r.answers[key].size += maxAnswerBytes
		r.size += maxAnswerBytes
	}
}
