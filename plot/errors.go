package plot

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
)

// The classes of what can be wrong with a plot. Match with errors.Is. Errors
// about a file are a [*FormatError], which names the part of the file. Absence
// is fs.ErrNotExist. Section numbers are those of FORMAT.md.
var (
	// ErrIncomplete: page 0 is zero. The file was never committed.
	ErrIncomplete = errors.New("plot was never committed")
	// ErrMagic: the file does not begin as a plot.
	ErrMagic = errors.New("not a plot")
	// ErrVersion: the file is a plot of another version.
	ErrVersion = errors.New("unsupported version of plot")
	// ErrHeader: page 0 is damaged.
	ErrHeader = errors.New("damaged plot header")
	// ErrTruncated: the file is shorter or longer than its header says.
	ErrTruncated = errors.New("plot has another size than its header says")
	// ErrFooter: the last page is damaged, or belongs to another file.
	ErrFooter = errors.New("damaged plot footer")
	// ErrTable: a table is damaged, or does not agree with another.
	ErrTable = errors.New("damaged plot table")
	// ErrIndex: the records or their two indexes (table C3) are damaged.
	ErrIndex = errors.New("damaged plot index")
	// ErrExtent: the header, block table or padding of an extent is damaged.
	ErrExtent = errors.New("damaged extent")
	// ErrBlock: the stored bytes of a block are damaged.
	ErrBlock = errors.New("damaged block")
	// ErrContentMismatch: content has another size, hash or chunk root than
	// its descriptor says.
	// It is capsule.ErrContentMismatch.
	ErrContentMismatch = capsule.ErrContentMismatch
	// ErrIndexOverflow: no index of at most 2^24 pages holds the records.
	ErrIndexOverflow = errors.New("plot index overflows")
	// ErrLimit: a count is over a limit of the format or of the caller.
	ErrLimit = errors.New("over a limit")
	// ErrUnverified: a record was not found in an index that has not been
	// verified yet. It comes together with fs.ErrNotExist.
	ErrUnverified = errors.New("index is not verified yet")
	// ErrLocked: another process writes the same plot.
	ErrLocked = diskfs.ErrLocked
)

// A FormatError says which part of a plot file is damaged and how.
type FormatError struct {
	Err    error  // one of the classes above
	Part   string // such as "C3 record 12"
	Offset int64  // of the part in the file, in bytes; negative when it has none
	Detail string // what was expected and what was found
}

// Error returns the class, the part with its offset, and the detail.
func (e *FormatError) Error() string {
	at := ""
	if e.Offset >= 0 {
		at = fmt.Sprintf(" at offset %d", e.Offset)
	}
	return fmt.Sprintf("%v: %s%s: %s", e.Err, e.Part, at, e.Detail)
}

// Unwrap returns the class.
func (e *FormatError) Unwrap() error { return e.Err }

func damaged(class error, part string, offset int64, format string, args ...any) error {
	return &FormatError{Err: class, Part: part, Offset: offset,
		Detail: fmt.Sprintf(format, args...)}
}
