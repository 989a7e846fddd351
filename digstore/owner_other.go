//go:build !unix

package digstore

import "io/fs"

// foreignOwner reports no owner: on Windows a new folder takes its permissions from the one above it.
func foreignOwner(fs.FileInfo) (owner string, foreign bool) { return "", false }
