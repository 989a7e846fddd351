package capsule

import (
	"context"
	"fmt"
	"io/fs"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Prover makes proofs over plots. Its fields may be changed until the first call of a method. It
// is safe for concurrent use and must not be copied after its first use.
type Prover struct {
	Key   auth.NodeSigner // the node's; required. Plots of other keys prove nothing for it
	Plots Plots           // required
	Work  Worker          // nil: a CPUWorker on all cores, made at the first use
	Reads int             // access proofs that read at once; not positive means 4
	Now   func() time.Time

	once  sync.Once
	reads chan struct{}
}

func (p *Prover) init() {
	p.once.Do(func() {
		if p.Work == nil {
			p.Work = NewCPUWorker(0)
		}
		if p.Now == nil {
			p.Now = time.Now
		}
		n := p.Reads
		if n <= 0 {
			n = 4
		}
		p.reads = make(chan struct{}, n)
	})
}

// Prove answers c. It checks the form of c and what binds it to this node, and neither its time
// nor its signature: see Responder. A minimal challenge must be completed.
//
// The proofs are made at the same time; the first error ends the others. A capsule that is in no
// plot, another node's key and an unknown plot id are fs.ErrNotExist; entropy not above the
// plot's anchor is ErrBinding.
func (p *Prover) Prove(ctx context.Context, c *Challenge) (*Bundle, error) {
	p.init()
	b, err := p.prove(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("answer challenge %s: %w", c.ID, err)
	}
	return b, nil
}

func (p *Prover) prove(ctx context.Context, c *Challenge) (*Bundle, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Samples == 0 {
		return nil, fmt.Errorf("%w: minimal form is not completed", ErrChallenge)
	}
	own := p.Key.PublicKey()
	if !c.Node.IsZero() && c.Node != own {
		return nil, fmt.Errorf("node key %v: %w", c.Node, fs.ErrNotExist)
	}
	held, err := p.Plots.Find(ctx, c.CapsuleHash, c.PlotID)
	if err != nil {
		return nil, fmt.Errorf("find capsule %v: %w", c.CapsuleHash, err)
	}
	defer held.Close()
	rec := held.Record()
	if rec.Plot.PublicKey != own {
		return nil, fmt.Errorf("plot %v belongs to key %v: %w", rec.Plot.ID(), rec.Plot.PublicKey,
			fs.ErrNotExist)
	}
	if rec.Descriptor.Hash != c.CapsuleHash {
		return nil, fmt.Errorf("%w: plot %v has capsule %v, expected %v", ErrContentMismatch,
			rec.Plot.ID(), rec.Descriptor.Hash, c.CapsuleHash)
	}
	if err := checkAnchor(c, rec.Plot); err != nil {
		return nil, err
	}
	b := &Bundle{ChallengeDigest: c.Digest(), PlotID: rec.Plot.ID(), CapsuleHash: c.CapsuleHash}
	if err := p.makeProofs(ctx, c, held, b); err != nil {
		return nil, err
	}
	b.GeneratedAt = uint64(p.Now().Unix())
	if err := b.sign(ctx, p.Key); err != nil {
		return nil, err
	}
	return b, nil
}

// makeProofs fills in the proofs that c asks for.
func (p *Prover) makeProofs(ctx context.Context, c *Challenge, held Plotted, b *Bundle) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rec := held.Record()
	var wg sync.WaitGroup
	start := func(name string, bit uint16, proof func() error) {
		if c.mask()&bit == 0 {
			return
		}
		wg.Go(func() {
			if err := recovered(proof); err != nil {
				cancel(fmt.Errorf("%s proof: %w", name, err))
			}
		})
	}
	start("access", maskAccess, func() (err error) { // the first, since it waits for reads
		b.Access, err = p.access(ctx, c, held)
		return err
	})
	start("work", maskWork, func() (err error) {
		b.Work, err = p.work(ctx, c, rec, b.ChallengeDigest)
		return err
	})
	start("ownership", maskOwnership, func() (err error) {
		b.Ownership = &OwnershipProof{Plot: rec.Plot}
		m := b.Ownership.message(b.ChallengeDigest)
		b.Ownership.Signature, err = p.Key.Sign(ctx, m[:])
		return err
	})
	if c.mask()&maskInclusion != 0 {
		b.Inclusion = &InclusionProof{
			Ref: rec.Ref, Size: rec.Descriptor.Size, ChunkRoot: rec.Descriptor.ChunkRoot,
			Capsules:  rec.Capsules,
			LeafIndex: rec.LeafIndex, LeafCount: rec.LeafCount, Path: rec.Path,
			PlotPath: rec.PlotPath,
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// recovered makes a panic of f, as of a Worker, an error.
func recovered(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, r, debug.Stack())
		}
	}()
	return f()
}

func (p *Prover) work(ctx context.Context, c *Challenge, rec PlotRecord,
	digest merkle.Hash) (*WorkProof, error) {
	w := &WorkProof{Bits: c.WorkBits, TableDataHash: rec.Descriptor.ChunkRoot, PreviousHash: digest,
		PlotSeed: rec.Plot.Seed()}
	in := w.input(c.CapsuleHash)
	var err error
	if w.Nonce, err = p.Work.Search(ctx, in, int(c.WorkBits)); err != nil {
		return nil, err
	}
	n := ZeroBits(in.Hash(w.Nonce)) // whatever the worker is, its result is hashed here again
	if n < int(c.WorkBits) {
		return nil, fmt.Errorf("%w: worker %s found nonce %d with %d zero bits, expected %d",
			ErrWork, p.Work.Name(), w.Nonce, n, c.WorkBits)
	}
	w.Achieved = uint8(min(n, 255))
	return w, nil
}

func (p *Prover) access(ctx context.Context, c *Challenge, held Plotted) (*AccessProof, error) {
	select {
	case p.reads <- struct{}{}:
		defer func() { <-p.reads }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	rec := held.Record()
	d := rec.Descriptor
	subroots, err := held.Subroots(ctx)
	if err != nil {
		return nil, fmt.Errorf("read subroots: %w", err)
	}
	blocks := newBlockReader(held, d, subroots)
	if err := blocks.check(); err != nil {
		return nil, err
	}
	proof := &AccessProof{EntropyHeight: c.EntropyHeight, Entropy: c.Entropy,
		ChunkRoot: d.ChunkRoot, Chunks: d.Chunks()}
	walk := newAccessWalk(c, rec.Plot.PublicKey, rec.Plot.ID(), d.Chunks())
	for {
		i, ok := walk.next()
		if !ok {
			break
		}
		s, err := blocks.sample(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("read chunk %d: %w", i, err)
		}
		walk.step(s.Chunk)
		proof.Samples = append(proof.Samples, s)
	}
	proof.Final = walk.state
	return proof, nil
}

// blockReader reads chunks with their paths, and keeps the blocks that were read last.
type blockReader struct {
	held     Plotted
	d        Descriptor
	subroots *merkle.Tree
	count    int
	kept     map[uint32]block
}

type block struct {
	content []byte
	leaves  *merkle.Tree
}

const keptBlocks = 16

func newBlockReader(held Plotted, d Descriptor, subroots []merkle.Hash) *blockReader {
	return &blockReader{held: held, d: d, subroots: merkle.NewTree(subroots), count: len(subroots),
		kept: map[uint32]block{}}
}

// check returns nil when the subroots fold to the chunk root.
func (r *blockReader) check() error {
	if uint64(r.count) != uint64(SubrootCount(r.d.Size)) || r.subroots.Root() != r.d.ChunkRoot {
		return fmt.Errorf("%w: %d subroots fold to %v, expected %d and %v", ErrContentMismatch,
			r.count, r.subroots.Root(), SubrootCount(r.d.Size), r.d.ChunkRoot)
	}
	return nil
}

func (r *blockReader) sample(ctx context.Context, chunk uint32) (AccessSample, error) {
	if err := ctx.Err(); err != nil {
		return AccessSample{}, context.Cause(ctx)
	}
	i, within := chunk/chunksPerBlock, chunk%chunksPerBlock
	b, ok := r.kept[i]
	if !ok {
		var err error
		if b, err = r.read(ctx, i); err != nil {
			return AccessSample{}, err
		}
		if len(r.kept) == keptBlocks {
			clear(r.kept)
		}
		r.kept[i] = b
	}
	low, err := b.leaves.Prove(int(within))
	if err != nil {
		return AccessSample{}, err
	}
	high, err := r.subroots.Prove(int(i))
	if err != nil {
		return AccessSample{}, err
	}
	at := int(within) * ChunkSize
	return AccessSample{
		Index: chunk,
		Chunk: b.content[at : at+chunkLen(r.d.Size, chunk)],
		Path:  append(siblings(low), siblings(high)...),
	}, nil
}

// read reads a block and checks it against its subroot.
func (r *blockReader) read(ctx context.Context, i uint32) (block, error) {
	var content []byte
	want := int(min(BlockSize, uint64(r.d.Size)-min(uint64(r.d.Size), uint64(i)*BlockSize)))
	if want > 0 {
		var err error
		if content, err = r.held.ReadBlock(ctx, i, nil); err != nil {
			return block{}, err
		}
	}
	if len(content) != want {
		return block{}, fmt.Errorf("%w: block %d has %d bytes, expected %d", ErrContentMismatch, i,
			len(content), want)
	}
	b := block{content, merkle.NewTree(appendChunkLeaves(nil, content))}
	expected, err := r.subroots.Prove(int(i))
	if err != nil {
		return block{}, err
	}
	if b.leaves.Root() != expected.Leaf {
		return block{}, fmt.Errorf("%w: block %d has subroot %v, expected %v", ErrContentMismatch,
			i, b.leaves.Root(), expected.Leaf)
	}
	return b, nil
}
