package digstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// The file roots.proof proves the lines of roots.log: it holds each of them a second time, with checksums. Every block
// has 64 bytes, and all integers are big-endian:
//
//	header: "DIGPROOF" || u64 confirmed lines || 44 zero bytes || u32 CRC-32C of what stands before
//	line:   root(32) || u64 number || i64 unix seconds || u64 flags and end || u32 CRC-32C of the line's bytes ||
//	        u32 CRC-32C of the line's ordinal (u64) and of what stands before in the block
//
// The end is where in roots.log the line ends, in the low 56 bits. The line's bytes are those from the end of the line
// before. Bit 56 says that signatures of the root were known.
//
// The block of a line is durable before the line is written. A line that is not as its block says is damage, but for
// the lines behind the confirmed ones: those may be torn by a crash, which leaves a beginning of their bytes, or zero
// bytes in their places, and then do not count. The number of confirmed lines is written, and not synced, when lines are
// durable; where the header is damaged it is 0. Bytes of roots.log that no block covers are damage.
//
// A store that has the file, or says in pins.json that it had one, is proven. Every store is that begins with this
// version. One without, of an earlier version or of the reference, is read as it is, and Adopt makes the file.
const (
	proofFile  = "roots.proof"
	proofMagic = "DIGPROOF"
	proofBlock = 64

	proofSigned = 1 << 56
	proofEnd    = 1<<56 - 1
)

// lineProof is what the file says of a line.
type lineProof struct {
	line   module.Generation
	end    int64
	sum    uint32
	signed bool
}

func (s *Store) proofName() string { return filepath.Join(s.dir, proofFile) }

func (p *lineProof) block(ordinal uint64) []byte {
	b := append(make([]byte, 0, proofBlock), p.line.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, p.line.Number)
	b = binary.BigEndian.AppendUint64(b, uint64(p.line.Time.Unix()))
	end := uint64(p.end)
	if p.signed {
		end |= proofSigned
	}
	b = binary.BigEndian.AppendUint64(b, end)
	b = binary.BigEndian.AppendUint32(b, p.sum)
	return binary.BigEndian.AppendUint32(b, proofSum(ordinal, b))
}

func proofSum(ordinal uint64, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(binary.BigEndian.AppendUint64(nil, ordinal), castagnoli), castagnoli, b)
}

// parseProof reads the block of the line of that ordinal.
func parseProof(b []byte, ordinal uint64) (p lineProof, ok bool) {
	end := binary.BigEndian.Uint64(b[48:])
	p = lineProof{end: int64(end & proofEnd), signed: end&proofSigned != 0, sum: binary.BigEndian.Uint32(b[56:])}
	p.line = module.Generation{Root: merkle.Hash(b[:32]), Number: binary.BigEndian.Uint64(b[32:]),
		Time: time.Unix(int64(binary.BigEndian.Uint64(b[40:])), 0).UTC()}
	ok = binary.BigEndian.Uint32(b[60:]) == proofSum(ordinal, b[:60]) && p.line.Number == ordinal && p.end <= maxLog
	return p, ok
}

// proofs is the open file.
type proofs struct {
	f         diskfs.File
	name      string
	lines     uint64 // blocks that are there
	confirmed uint64
}

// openProofs opens roots.proof; nil when the store is not proven. A proven store without the file is damaged.
func (s *Store) openProofs() (*proofs, error) {
	f, err := s.w.fs.OpenFile(s.proofName(), openRead, 0)
	if errors.Is(err, fs.ErrNotExist) {
		pins, err := s.readPinFile()
		if err == nil && pins.Proven {
			err = corrupt(s.proofName(), "it is missing, and pins.json says that the history has proofs")
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read proofs: %w", err)
	}
	p := &proofs{f: f, name: s.proofName()}
	if err := p.readHeader(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return p, nil
}

func (p *proofs) readHeader() error {
	info, err := p.f.Stat()
	if err != nil {
		return fmt.Errorf("read proofs: %w", err)
	}
	if info.Size() > maxLog {
		return corrupt(p.name, "%d bytes, at most %d are read", info.Size(), maxLog)
	}
	var b [proofBlock]byte
	if _, err := p.f.ReadAt(b[:], 0); err != nil && err != io.EOF {
		return fmt.Errorf("read proofs: %w", err)
	}
	const sum = proofBlock - 4
	if string(b[:8]) == proofMagic && crc32.Checksum(b[:sum], castagnoli) == binary.BigEndian.Uint32(b[sum:]) {
		p.confirmed = binary.BigEndian.Uint64(b[8:])
	}
	p.lines = uint64(max(0, info.Size()/proofBlock-1))
	return nil
}

func (p *proofs) close() { _ = p.f.Close() }

// read returns the blocks from ordinal from up to, not including, to. A damaged block is ErrCorrupt, unless it is not of
// a confirmed line: then those before it are returned.
func (p *proofs) read(from, to uint64) ([]lineProof, error) {
	if from >= to {
		return nil, nil
	}
	b := make([]byte, (to-from)*proofBlock)
	if _, err := p.f.ReadAt(b, int64(from+1)*proofBlock); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read proofs: %w", err)
	}
	list := make([]lineProof, 0, to-from)
	for i := range to - from {
		one, ok := parseProof(b[i*proofBlock:][:proofBlock], from+i)
		if !ok && from+i < p.confirmed {
			return nil, corrupt(p.name, "the block of line %d is damaged", from+i)
		}
		if !ok {
			break
		}
		list = append(list, one)
	}
	return list, nil
}

// one returns the block of a line; it is ErrCorrupt when it is damaged or not there.
func (p *proofs) one(n uint64) (lineProof, error) {
	if n < p.lines {
		list, err := p.read(n, n+1)
		if err != nil || len(list) == 1 {
			return append(list, lineProof{})[0], err
		}
	}
	return lineProof{}, corrupt(p.name, "there is no block of line %d", n)
}

// start returns where a line begins.
func (p *proofs) start(n uint64) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	before, err := p.one(n - 1)
	return before.end, err
}

// check holds the bytes of roots.log from offset at on, the beginning of the line of ordinal first, against the blocks of
// that line and those behind it. It returns the blocks of the lines that count. all says that text goes to the end of
// the log, and else it is cut after some line.
func (p *proofs) check(name string, text []byte, at int64, first, last uint64, all bool) ([]lineProof, error) {
	list, err := p.read(first, last)
	if err != nil {
		return nil, err
	}
	begin := at
	for i := range list {
		n := first + uint64(i)
		end := list[i].end
		if end < begin {
			return nil, corrupt(p.name, "line %d ends before it begins", n)
		}
		if end-at <= int64(len(text)) && crc32.Checksum(text[begin-at:end-at], castagnoli) == list[i].sum {
			begin = end
			continue
		}
		rest := text[min(begin-at, int64(len(text))):]
		if n < p.confirmed || !all || !torn(rest, list[i:]) {
			return nil, corrupt(name, "line %d is not the one that was written: generation %d, root %s", n, list[i].line.Number, list[i].line.Root)
		}
		return list[:i], nil
	}
	if n := first + uint64(len(list)); n < p.confirmed && all {
		return nil, corrupt(p.name, "there is no block of line %d", n)
	}
	if rest := at + int64(len(text)) - begin; rest > 0 && all {
		return nil, corrupt(name, "the last %d bytes have no proof: another program has written them", rest)
	}
	return list, nil
}

// torn reports whether rest is what a crash may leave of those lines.
func torn(rest []byte, lines []lineProof) bool {
	var want []byte
	for _, l := range lines {
		want = appendLine(want, l.line)
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

// prove writes, durably, the blocks of lines that follow the history h. The caller holds the store's lock and has read h
// under it. A store that has a history without proofs gets none.
func (s *Store) prove(h *history, lines []module.Generation, signed bool) error {
	if len(lines) == 0 || h.len() > 0 && !h.proven {
		return nil
	}
	if err := s.cutTail(h); err != nil {
		return fmt.Errorf("prove history: %w", err)
	}
	list := make([]lineProof, len(lines))
	end := h.size
	for i, g := range lines {
		text := appendLine(nil, g)
		end += int64(len(text))
		list[i] = lineProof{line: g, end: end, sum: crc32.Checksum(text, castagnoli), signed: signed && i == len(lines)-1}
	}
	if err := s.writeProofs(h.len(), list, h.len()); err != nil {
		return fmt.Errorf("prove history: %w", err)
	}
	return nil
}

// cutTail makes roots.log end with the last line that counts, and those lines durable which are not confirmed.
func (s *Store) cutTail(h *history) error {
	f, err := s.w.fs.OpenFile(s.logName(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == h.size && h.confirmed >= h.len() {
		return nil
	}
	if info.Size() > h.size {
		if err := f.Truncate(h.size); err != nil {
			return err
		}
	}
	return f.Sync()
}

// writeProofs writes blocks from that ordinal on, durably, in place of those that are there, and that so many lines are
// confirmed.
func (s *Store) writeProofs(first uint64, list []lineProof, confirmed uint64) error {
	f, err := s.w.fs.OpenFile(s.proofName(), openCreate, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > int64(first+1)*proofBlock {
		if err := f.Truncate(int64(first+1) * proofBlock); err != nil {
			return err
		}
	}
	b := make([]byte, 0, len(list)*proofBlock)
	for i := range list {
		b = append(b, list[i].block(first+uint64(i))...)
	}
	if _, err := f.WriteAt(proofHeader(confirmed), 0); err != nil {
		return err
	}
	if _, err := f.WriteAt(b, int64(first+1)*proofBlock); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if info.Size() == 0 { // the file may be new
		if err := s.w.fs.SyncDir(s.dir); err != nil {
			return err
		}
	}
	return s.setProven()
}

func proofHeader(confirmed uint64) []byte {
	b := append(make([]byte, 0, proofBlock), proofMagic...)
	b = binary.BigEndian.AppendUint64(b, confirmed)
	b = append(b, make([]byte, proofBlock-4-len(b))...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// confirm notes that so many lines are durable. It is not synced, and nothing is lost when it fails: then a line that is
// damaged later may be taken for torn.
func (s *Store) confirm(lines uint64) {
	f, err := s.w.fs.OpenFile(s.proofName(), openCreate, 0o644)
	if err != nil {
		return
	}
	_, _ = f.WriteAt(proofHeader(lines), 0)
	_ = f.Close()
}

// checkSigned is ErrCorrupt when signatures of a generation were known and are not kept.
func (s *Store) checkSigned(line module.Generation) error {
	p, err := s.openProofs()
	if p == nil || err != nil {
		return err
	}
	defer p.close()
	at, err := p.one(line.Number)
	if err != nil || !at.signed {
		return err
	}
	r, err := s.readSigs(line.Root)
	if err == nil && r.Tagged.IsZero() && r.Untagged.IsZero() {
		err = corrupt(s.sigName(line.Root, true), "it is missing: generation %d was signed", line.Number)
	}
	return err
}

// lineOf holds a line that an index file led to against its block: the line at an offset of the log.
func (p *proofs) lineOf(name string, log io.ReaderAt, off int64) (module.Generation, error) {
	lo, hi := uint64(0), p.lines                                      // the line is in [lo, hi)
	if g, err := lineAt(log, off); err == nil && g.Number < p.lines { // in most histories it says which one it is
		if begin, err := p.start(g.Number); err == nil && begin == off {
			lo, hi = g.Number, g.Number
		}
	}
	for lo < hi {
		n := (lo + hi) / 2
		at, err := p.one(n)
		if err != nil {
			return module.Generation{}, err
		}
		if at.end <= off {
			lo = n + 1
		} else {
			hi = n
		}
	}
	begin, err := p.start(lo)
	if err != nil {
		return module.Generation{}, err
	}
	at, err := p.one(lo)
	if err != nil {
		return module.Generation{}, err
	}
	if begin != off || at.end-begin > maxLog {
		return module.Generation{}, corrupt(p.name, "no line begins at byte %d of roots.log", off)
	}
	text := make([]byte, at.end-begin)
	if _, err := log.ReadAt(text, begin); err != nil && err != io.EOF {
		return module.Generation{}, err
	}
	list, err := p.check(name, text, begin, lo, lo+1, false)
	if err != nil {
		return module.Generation{}, err
	}
	return list[0].line, nil
}

// dropped are the lines whose generations are not held on purpose, the file roots.dropped:
//
//	"DIGDROP1" || u32 number of ranges || per range u64 first line || u64 line behind the last || u32 CRC-32C of what stands before
//
// Ranges ascend and do not touch. A line of a proven history that is not among them is of a generation that must be held.
type dropped [][2]uint64

const (
	droppedFile  = "roots.dropped"
	droppedMagic = "DIGDROP1"
)

func (s *Store) readDropped() (dropped, error) {
	name := filepath.Join(s.dir, droppedFile)
	b, err := diskfs.ReadFile(s.w.fs, name, maxLog)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was dropped: %w", err)
	}
	d, ok := parseDropped(b)
	if !ok {
		return nil, corrupt(name, "not a whole list")
	}
	return d, nil
}

// drop notes, durably, that the generations of the lines from first up to, not including, behind are not held on purpose.
// The caller holds the lock.
func (s *Store) drop(first, behind uint64) error {
	if first >= behind {
		return nil
	}
	d, err := s.readDropped()
	if err != nil {
		return err
	}
	return s.writeDropped(d.with(first, behind))
}

func (s *Store) writeDropped(d dropped) error {
	return diskfs.WriteFile(s.w.fs, filepath.Join(s.dir, droppedFile), d.marshal(), 0o644)
}

func parseDropped(b []byte) (d dropped, ok bool) {
	head, sum := len(droppedMagic)+4, len(b)-4
	if sum < head || !bytes.HasPrefix(b, []byte(droppedMagic)) || crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) ||
		int64(sum-head) != 16*int64(binary.BigEndian.Uint32(b[len(droppedMagic):])) {
		return nil, false
	}
	after := uint64(0)
	for b = b[head:sum]; len(b) > 0; b = b[16:] {
		r := [2]uint64{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
		if r[0] >= r[1] || r[0] < after || r[0] == after && len(d) > 0 {
			return nil, false
		}
		d, after = append(d, r), r[1]
	}
	return d, true
}

func (d dropped) marshal() []byte {
	b := append(make([]byte, 0, 16+16*len(d)), droppedMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(d)))
	for _, r := range d {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, r[0]), r[1])
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// has reports whether a line is among them.
func (d dropped) has(n uint64) bool {
	for _, r := range d {
		if n >= r[0] && n < r[1] {
			return true
		}
	}
	return false
}

// with returns d and the lines from first up to, not including, behind.
func (d dropped) with(first, behind uint64) dropped {
	if first >= behind {
		return d
	}
	var out dropped
	for _, r := range d {
		switch {
		case r[1] < first:
			out = append(out, r)
		case r[0] > behind:
			if first < behind {
				out = append(out, [2]uint64{first, behind})
				first = behind
			}
			out = append(out, r)
		default:
			first, behind = min(first, r[0]), max(behind, r[1])
		}
	}
	if first < behind {
		out = append(out, [2]uint64{first, behind})
	}
	return out
}
