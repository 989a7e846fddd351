// Package publishing reads and writes the file publishing of a store. It records what the last
// writer published, so that the next writer need not search the whole store for files that a crash
// has left (LAYOUT.md 12.1).
package publishing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A Record is the content of the file.
type Record struct {
	// Known says that only files of Root were touched. Without it any file may have been.
	Known bool
	Root  merkle.Hash
	// Serial increases with each writer. The names of new packs contain it.
	Serial uint64
}

const (
	magic = "DIGPUBL1"
	size  = len(magic) + 1 + 32 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A File is the file publishing in the directory of a store. Write needs the lock of the store.
type File struct {
	fs  diskfs.FS
	dir string
}

// New returns the file in the directory of a store. It need not exist.
func New(fsys diskfs.FS, dir string) *File { return &File{fsys, dir} }

func (f *File) path() string { return filepath.Join(f.dir, "publishing") }

// Read returns the record, or the zero Record if the file is missing or damaged.
func (f *File) Read() (Record, error) {
	b, err := smallfile.Read(f.fs, f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, fmt.Errorf("read publishing: %w", err)
	}
	return parse(b), nil
}

// Write overwrites the file in place, durably.
func (f *File) Write(r Record) error {
	if err := f.write(encode(r)); err != nil {
		return fmt.Errorf("write publishing: %w", err)
	}
	return nil
}

func (f *File) write(b []byte) error {
	file, err := f.fs.OpenFile(f.path(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		_, err = file.WriteAt(b, 0)
	}
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil && info.Size() == 0 {
		err = f.fs.SyncDir(f.dir)
	}
	return err
}

func encode(r Record) []byte {
	b := append(make([]byte, 0, size), magic...)
	if r.Known {
		b = append(append(b, 1), r.Root[:]...)
	} else {
		b = append(b, make([]byte, 1+32)...)
	}
	b = binary.BigEndian.AppendUint64(b, r.Serial)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parse returns the zero Record if b is damaged.
func parse(b []byte) Record {
	sum, kind := size-4, len(magic)
	if len(b) != size || string(b[:kind]) != magic ||
		crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) {
		return Record{}
	}
	return Record{Known: b[kind] == 1, Root: merkle.Hash(b[kind+1:]),
		Serial: binary.BigEndian.Uint64(b[sum-8:])}
}
