// Package statindex reads and writes the file statindex of a store: the Stats of the files of a
// content root when a generation was made of them (LAYOUT.md 9.2). The next commit does not read
// files with the same Stat. The file is a cache: it is replaced as a whole and never synced.
package statindex

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// An Index describes the files of a content root.
type Index struct {
	Root    merkle.Hash  // of the generation made of the files
	Time    int64        // before any file was read, by File.Clock
	Content string       // absolute path of the content root
	Files   []scan.Found // ascending by name
}

const (
	magic = "DIGSTAT1"
	row   = 8 + 8 + 8 + 8 + 4
	// maxSize is the limit of the file in bytes.
	maxSize = 1 << 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Same reports whether a file with Stat then, and now with Stat now, has the same content. It is
// false if the file may have changed without a change of its Stat.
func (x *Index) Same(then, now scan.Stat) bool { return then == now && then.OlderThan(x.Time) }

// A File is the file statindex of a store.
type File struct {
	fs   diskfs.FS
	path string
	now  func() time.Time
}

// New returns the file in the directory of a store. It need not exist.
func New(fsys diskfs.FS, dir string, now func() time.Time) *File {
	return &File{fsys, filepath.Join(dir, "statindex"), now}
}

// Read returns the index of a content root. It returns nil if the index is missing or damaged, or
// if its time is in the future because the clock was set back.
func (f *File) Read(content string) *Index {
	b, err := diskfs.ReadFile(f.fs, f.path, maxSize)
	if err != nil {
		return nil
	}
	x := parse(b)
	if x == nil || x.Content != content || x.Time > f.now().UnixNano() {
		return nil
	}
	return x
}

// Write replaces the index. It needs the lock of the store. It ignores errors: without an index the
// next commit reads all files.
func (f *File) Write(x *Index) {
	if b := x.marshal(); b != nil {
		_ = diskfs.ReplaceFile(f.fs, f.path, b, 0o600)
	} else {
		_ = f.fs.Remove(f.path)
	}
}

// Clock returns the present time in nanoseconds since 1970, for Index.Time. If the clock of the
// store's file system is behind that of this machine, as on a file server, Clock returns the time
// of the file system. The content root is usually on the same file system.
func (f *File) Clock() int64 {
	now := f.now().UnixNano()
	name := f.path + ".tmp" // Write replaces it
	if err := diskfs.WriteNew(f.fs, name, []byte{0}, 0o600, false); err != nil {
		return now
	}
	info, err := f.fs.Stat(name)
	_ = f.fs.Remove(name)
	if err != nil || info.ModTime().Unix() <= 0 {
		return now
	}
	return min(now, info.ModTime().UnixNano())
}

// parse returns nil if b is damaged.
func parse(b []byte) *Index {
	const fixed = len(magic) + 4
	if len(b) < fixed+32+8+2 || string(b[:len(magic)]) != magic ||
		crc32.Checksum(b[fixed:], castagnoli) != binary.BigEndian.Uint32(b[len(magic):]) {
		return nil
	}
	text := string(b) // names are substrings of it
	at := fixed
	x := &Index{Root: merkle.Hash(b[at : at+32]), Time: int64(binary.BigEndian.Uint64(b[at+32:]))}
	at += 40
	n := int(binary.BigEndian.Uint16(b[at:]))
	at += 2
	if len(b)-at < n+4 {
		return nil
	}
	x.Content = text[at : at+n]
	at += n
	count := int(binary.BigEndian.Uint32(b[at:]))
	at += 4
	if count > (len(b)-at)/(2+row) {
		return nil
	}
	x.Files = make([]scan.Found, count)
	for i := range x.Files {
		if len(b)-at < 2 {
			return nil
		}
		n := int(binary.BigEndian.Uint16(b[at:]))
		at += 2
		if len(b)-at < n+row {
			return nil
		}
		f := &x.Files[i]
		f.Name = text[at : at+n]
		fields := b[at+n:]
		f.Stat = scan.Stat{Size: int64(binary.BigEndian.Uint64(fields)),
			Mtime: int64(binary.BigEndian.Uint64(fields[8:])),
			Ctime: int64(binary.BigEndian.Uint64(fields[16:])), Inode: binary.BigEndian.Uint64(fields[24:]),
			Mode: binary.BigEndian.Uint32(fields[32:])}
		if i > 0 && x.Files[i-1].Name >= f.Name {
			return nil
		}
		at += n + row
	}
	if at != len(b) {
		return nil
	}
	return x
}

// marshal returns the content of the file, or nil if a name is too long.
func (x *Index) marshal() []byte {
	size := 64 + len(x.Content)
	for i := range x.Files {
		size += 2 + len(x.Files[i].Name) + row
	}
	b := append(make([]byte, 0, size), magic...)
	b = append(b, 0, 0, 0, 0)
	b = append(b, x.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(x.Time))
	if len(x.Content) > 1<<16-1 {
		return nil
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(x.Content)))
	b = append(b, x.Content...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(x.Files)))
	for i := range x.Files {
		f := &x.Files[i]
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
	binary.BigEndian.PutUint32(b[len(magic):], crc32.Checksum(b[len(magic)+4:], castagnoli))
	return b
}
