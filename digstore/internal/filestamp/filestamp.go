// Package filestamp tells whether a file has changed since it was read, by its size and its
// modification time.
package filestamp

import (
	"io/fs"
	"time"
)

// Unit is the coarsest unit of modification times: that of FAT.
const Unit = 2 * time.Second

// A Stamp is the size and the modification time of a file. The zero value is that of no file.
type Stamp struct {
	Size  int64
	Mtime time.Time
	Known bool // it is the stamp of a file
}

// Of returns the stamp of a file.
func Of(info fs.FileInfo) Stamp { return Stamp{info.Size(), info.ModTime(), true} }

// Stable reports whether any change of the file after the time at gives it another stamp.
func (s Stamp) Stable(at time.Time) bool { return s.Mtime.Add(Unit).Before(at) }
