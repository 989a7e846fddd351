package rootlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A proven history has a block for each line.
const (
	// BlockSize is the length in bytes of a block of roots.proof, and of its header.
	BlockSize = 64
	// MaxSize is the limit in bytes of roots.log, of roots.proof and of roots.dropped. It is enough
	// for two million generations.
	MaxSize = 256 << 20

	proofMagic  = "DIGPROOF"
	proofSigned = 1 << 56
	proofEnd    = 1<<56 - 1
)

// A Proof is the block of one line.
type Proof struct {
	Line module.Generation
	// End is the offset in roots.log at which the line ends. The line begins at the End of the
	// previous one.
	End int64
	// Sum is the CRC-32C of the bytes of the line.
	Sum uint32
	// Signed says that a signature of the root is stored.
	Signed bool
}

// Prove returns the proofs of lines that AppendLine writes from offset begin on.
func Prove(begin int64, lines []module.Generation) []Proof {
	list := make([]Proof, len(lines))
	for i, g := range lines {
		text := AppendLine(nil, g)
		begin += int64(len(text))
		list[i] = Proof{Line: g, End: begin, Sum: Sum(text)}
	}
	return list
}

// Sum returns the CRC-32C of the bytes of a line.
func Sum(text []byte) uint32 { return crc32.Checksum(text, castagnoli) }

// AppendBlocks appends the blocks of list, which begins with line number first.
func AppendBlocks(b []byte, first uint64, list []Proof) []byte {
	for i := range list {
		b = list[i].appendBlock(b, first+uint64(i))
	}
	return b
}

func (p *Proof) appendBlock(b []byte, ordinal uint64) []byte {
	at := len(b)
	b = append(b, p.Line.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Line.Number)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Line.Time.Unix()))
	end := uint64(p.End)
	if p.Signed {
		end |= proofSigned
	}
	b = binary.BigEndian.AppendUint64(b, end)
	b = binary.BigEndian.AppendUint32(b, p.Sum)
	return binary.BigEndian.AppendUint32(b, blockSum(ordinal, b[at:]))
}

// blockSum returns the checksum of the number of a line and of its block without the last field.
func blockSum(ordinal uint64, b []byte) uint32 {
	number := binary.BigEndian.AppendUint64(nil, ordinal)
	return crc32.Update(crc32.Checksum(number, castagnoli), castagnoli, b)
}

// parseBlock decodes the block of line number ordinal.
func parseBlock(b []byte, ordinal uint64) (p Proof, ok bool) {
	end := binary.BigEndian.Uint64(b[48:])
	p = Proof{End: int64(end & proofEnd), Signed: end&proofSigned != 0,
		Sum: binary.BigEndian.Uint32(b[56:])}
	p.Line = module.Generation{Root: merkle.Hash(b[:32]), Number: binary.BigEndian.Uint64(b[32:]),
		Time: time.Unix(int64(binary.BigEndian.Uint64(b[40:])), 0).UTC()}
	ok = binary.BigEndian.Uint32(b[60:]) == blockSum(ordinal, b[:60])
	return p, ok && p.Line.Number == ordinal && p.End <= MaxSize
}

// Header returns the header of roots.proof. confirmed is the number of lines known to be durable.
func Header(confirmed uint64) []byte {
	b := append(make([]byte, 0, BlockSize), proofMagic...)
	b = binary.BigEndian.AppendUint64(b, confirmed)
	b = append(b, make([]byte, BlockSize-4-len(b))...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Proofs reads roots.proof. It may be used by several goroutines.
type Proofs struct {
	r    io.ReaderAt
	name string
	log  string // name of roots.log, for errors

	// Len is the number of blocks.
	Len uint64
	// Confirmed is the number of lines known to be durable. It is 0 if the header is damaged.
	Confirmed uint64
}

// OpenProofs reads the header of a roots.proof of size bytes. name and log are the names of
// roots.proof and roots.log for errors.
func OpenProofs(name, log string, r io.ReaderAt, size int64) (*Proofs, error) {
	p := &Proofs{r: r, name: name, log: log, Len: uint64(max(0, size/BlockSize-1))}
	if size > MaxSize {
		return nil, damage.In(name, "%d bytes, at most %d are read", size, MaxSize)
	}
	var b [BlockSize]byte
	if _, err := r.ReadAt(b[:], 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read proofs: %w", err)
	}
	const sum = BlockSize - 4
	whole := crc32.Checksum(b[:sum], castagnoli) == binary.BigEndian.Uint32(b[sum:])
	if whole && string(b[:8]) == proofMagic {
		p.Confirmed = binary.BigEndian.Uint64(b[8:])
	}
	return p, nil
}

// read returns the blocks of the lines [from, to). A damaged block of a confirmed line is an error.
// At a damaged block of any other line, read stops and returns the blocks before it.
func (p *Proofs) read(from, to uint64) ([]Proof, error) {
	if from >= to {
		return nil, nil
	}
	b := make([]byte, (to-from)*BlockSize)
	if _, err := p.r.ReadAt(b, int64(from+1)*BlockSize); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read proofs: %w", err)
	}
	list := make([]Proof, 0, to-from)
	for i := range to - from {
		one, ok := parseBlock(b[i*BlockSize:][:BlockSize], from+i)
		if !ok && from+i < p.Confirmed {
			return nil, damage.In(p.name, "the block of line %d is damaged", from+i)
		}
		if !ok {
			break
		}
		list = append(list, one)
	}
	return list, nil
}

// One returns the block of line n. It is module.ErrDamaged if the block is damaged or missing.
func (p *Proofs) One(n uint64) (Proof, error) {
	if n < p.Len {
		list, err := p.read(n, n+1)
		if err != nil || len(list) == 1 {
			return append(list, Proof{})[0], err
		}
	}
	return Proof{}, damage.In(p.name, "there is no block of line %d", n)
}

// Start returns the offset of line n in roots.log.
func (p *Proofs) Start(n uint64) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	before, err := p.One(n - 1)
	return before.End, err
}

// Check compares text, the bytes of roots.log from offset at on, with the blocks of the lines
// [first, last). Line first begins at offset at. It returns the blocks of the valid lines. all says
// that text reaches the end of the log; otherwise it ends after some line.
func (p *Proofs) Check(text []byte, at int64, first, last uint64, all bool) ([]Proof, error) {
	list, err := p.read(first, last)
	if err != nil {
		return nil, err
	}
	begin := at
	for i := range list {
		n := first + uint64(i)
		end := list[i].End
		if end < begin {
			return nil, damage.In(p.name, "line %d ends before it begins", n)
		}
		if end-at <= int64(len(text)) && Sum(text[begin-at:end-at]) == list[i].Sum {
			begin = end
			continue
		}
		rest := text[min(begin-at, int64(len(text))):]
		if n < p.Confirmed || !all || !torn(rest, list[i:]) {
			return nil, damage.In(p.log,
				"line %d is not the one that was written: generation %d, root %s",
				n, list[i].Line.Number, list[i].Line.Root)
		}
		return list[:i], nil
	}
	if n := first + uint64(len(list)); n < p.Confirmed && all {
		return nil, damage.In(p.name, "there is no block of line %d", n)
	}
	if rest := at + int64(len(text)) - begin; rest > 0 && all {
		return nil, damage.In(p.log,
			"the last %d bytes have no proof: another program has written them", rest)
	}
	return list, nil
}

// torn reports whether a crash while lines were written may have left rest.
func torn(rest []byte, lines []Proof) bool {
	var want []byte
	for _, l := range lines {
		want = AppendLine(want, l.Line)
	}
	if len(rest) > len(want) {
		return false
	}
	for i, b := range rest {
		if b != 0 && b != want[i] {
			return false
		}
	}
	return true
}

// LineOf returns the line at offset off of the log, after comparing it with its block. off comes
// from an Index.
func (p *Proofs) LineOf(log io.ReaderAt, off int64) (module.Generation, error) {
	n, err := p.numberAt(log, off)
	if err != nil {
		return module.Generation{}, err
	}
	begin, err := p.Start(n)
	if err != nil {
		return module.Generation{}, err
	}
	at, err := p.One(n)
	if err != nil {
		return module.Generation{}, err
	}
	if begin != off || at.End-begin > MaxSize {
		return module.Generation{}, damage.In(p.name, "no line begins at byte %d of roots.log", off)
	}
	text := make([]byte, at.End-begin)
	if _, err := log.ReadAt(text, begin); err != nil && err != io.EOF {
		return module.Generation{}, err
	}
	list, err := p.Check(text, begin, n, n+1, false)
	if err != nil {
		return module.Generation{}, err
	}
	return list[0].Line, nil
}

// numberAt returns the number of the first line that ends after offset off of the log.
func (p *Proofs) numberAt(log io.ReaderAt, off int64) (uint64, error) {
	if g, err := LineAt(log, off); err == nil && g.Number < p.Len { // usual case
		if begin, err := p.Start(g.Number); err == nil && begin == off {
			return g.Number, nil
		}
	}
	low, high := uint64(0), p.Len // the line is in [low, high)
	for low < high {
		n := (low + high) / 2
		at, err := p.One(n)
		if err != nil {
			return 0, err
		}
		if at.End <= off {
			low = n + 1
		} else {
			high = n
		}
	}
	return low, nil
}
