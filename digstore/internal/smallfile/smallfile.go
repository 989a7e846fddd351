// Package smallfile reads the small files of a workspace whole, with a limit (LAYOUT.md 15).
package smallfile

import "github.com/dig-network/digstore/internal/diskfs"

// Max is the length of the longest file that Read accepts, in bytes.
const Max = 4 << 20

// Read reads a file of at most Max bytes. A missing file is fs.ErrNotExist.
func Read(fsys diskfs.FS, name string) ([]byte, error) { return diskfs.ReadFile(fsys, name, Max) }
