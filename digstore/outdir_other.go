//go:build !linux

package digstore

import "os"

// outDir is a directory that files are made in. It was opened through an os.Root, so it lies below the target of the
// checkout.
type outDir struct{ *os.Root }

func openOutDir(root *os.Root) (*outDir, error) { return &outDir{root}, nil }

func (d *outDir) close() {}

// create makes a file that is not there.
func (d *outDir) create(base string) (rawOut, error) {
	f, err := d.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	return rawOut{f}, err
}

// rawOut is a new file.
type rawOut struct{ *os.File }

func (f rawOut) close() error { return f.Close() }
