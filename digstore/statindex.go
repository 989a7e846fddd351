package digstore

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// statIndex remembers how the files of the content root looked when a generation was made of them,
// so that the next commit need not read those that look the same. It is one file, statindex,
// replaced whole and never synced:
//
//	"DIGSTAT1" || u32 CRC-32C of the rest || root(32) || i64 time ||
//	u16 length, content root || u32 number of files || for each file, ascending by name:
//	u16 length, name || i64 size || i64 mtime || i64 ctime || u64 inode || u32 mode
//
// Times are nanoseconds. A damaged index, one of another content root, and one whose time is still
// to come, because the clock went back, do not count. A file whose times are not older than the
// index's own time may have changed after it was read without looking different: it is read again,
// as in git.
type statIndex struct {
	root    merkle.Hash // the generation
	time    int64       // before any file was read, by the clock of the file system
	content string      // the content root
	files   []scan.Found
}

const (
	statMagic = "DIGSTAT1"
	statRow   = 8 + 8 + 8 + 8 + 4
)

func (s *Store) statIndexName() string { return filepath.Join(s.dir, "statindex") }

// readStatIndex returns the index, nil when there is none that counts.
func (s *Store) readStatIndex(content string) *statIndex {
	b, err := diskfs.ReadFile(s.w.fs, s.statIndexName(), 1<<32)
	if err != nil {
		return nil
	}
	x := parseStatIndex(b)
	if x == nil || x.content != content || x.time > s.w.now().UnixNano() {
		return nil
	}
	return x
}

// clock returns the present time for the stat index. Where the clock of the file system on which
// the store lies, usually the content root's too, is behind this machine's, as a file server's may
// be, it is that one's.
func (s *Store) clock() int64 {
	now := s.w.now().UnixNano()
	name := s.statIndexName() + ".tmp" // which writing the index replaces
	if err := diskfs.WriteNew(s.w.fs, name, []byte{0}, 0o600, false); err != nil {
		return now
	}
	info, err := s.w.fs.Stat(name)
	_ = s.w.fs.Remove(name)
	if err != nil || info.ModTime().Unix() <= 0 {
		return now
	}
	return min(now, info.ModTime().UnixNano())
}

func parseStatIndex(b []byte) *statIndex {
	const fixed = len(statMagic) + 4
	if len(b) < fixed+32+8+2 || string(b[:len(statMagic)]) != statMagic ||
		crc32.Checksum(b[fixed:], castagnoli) != binary.BigEndian.Uint32(b[len(statMagic):]) {
		return nil
	}
	text := string(b) // names are parts of it
	at := fixed
	x := &statIndex{root: merkle.Hash(b[at : at+32]), time: int64(binary.BigEndian.Uint64(b[at+32:]))}
	at += 40
	n := int(binary.BigEndian.Uint16(b[at:]))
	at += 2
	if len(b)-at < n+4 {
		return nil
	}
	x.content = text[at : at+n]
	at += n
	count := int(binary.BigEndian.Uint32(b[at:]))
	at += 4
	if count > (len(b)-at)/(2+statRow) {
		return nil
	}
	x.files = make([]scan.Found, count)
	for i := range x.files {
		if len(b)-at < 2 {
			return nil
		}
		n := int(binary.BigEndian.Uint16(b[at:]))
		at += 2
		if len(b)-at < n+statRow {
			return nil
		}
		f := &x.files[i]
		f.Name = text[at : at+n]
		row := b[at+n:]
		f.Stat = scan.Stat{Size: int64(binary.BigEndian.Uint64(row)),
			Mtime: int64(binary.BigEndian.Uint64(row[8:])),
			Ctime: int64(binary.BigEndian.Uint64(row[16:])), Inode: binary.BigEndian.Uint64(row[24:]),
			Mode: binary.BigEndian.Uint32(row[32:])}
		if i > 0 && x.files[i-1].Name >= f.Name {
			return nil
		}
		at += n + statRow
	}
	if at != len(b) {
		return nil
	}
	return x
}

// marshal returns the file, nil when a name does not fit.
func (x *statIndex) marshal() []byte {
	size := 64 + len(x.content)
	for i := range x.files {
		size += 2 + len(x.files[i].Name) + statRow
	}
	b := append(make([]byte, 0, size), statMagic...)
	b = append(b, 0, 0, 0, 0)
	b = append(b, x.root[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(x.time))
	if len(x.content) > 1<<16-1 {
		return nil
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(x.content)))
	b = append(b, x.content...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(x.files)))
	for i := range x.files {
		f := &x.files[i]
		if len(f.Name) > 1<<16-1 {
			return nil
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(f.Name)))
		b = append(b, f.Name...)
		b = binary.BigEndian.AppendUint64(b, uint64(f.Stat.Size))
		b = binary.BigEndian.AppendUint64(b, uint64(f.Stat.Mtime))
		b = binary.BigEndian.AppendUint64(b, uint64(f.Stat.Ctime))
		b = binary.BigEndian.AppendUint64(b, f.Stat.Inode)
		b = binary.BigEndian.AppendUint32(b, f.Stat.Mode)
	}
	binary.BigEndian.PutUint32(b[len(statMagic):], crc32.Checksum(b[len(statMagic)+4:], castagnoli))
	return b
}

// same reports whether the file still looks as it did, and would not if it had changed since.
func (x *statIndex) same(then, now scan.Stat) bool {
	return then == now && then.OlderThan(x.time)
}

// writeStatIndex replaces the index. When it cannot be written, the next commit reads more than it
// need.
func (s *Store) writeStatIndex(x *statIndex) {
	if b := x.marshal(); b != nil {
		_ = diskfs.ReplaceFile(s.w.fs, s.statIndexName(), b, 0o600)
	} else {
		_ = s.w.fs.Remove(s.statIndexName())
	}
}
