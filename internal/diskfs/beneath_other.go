//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package diskfs

func newBeneath(top string) FS { return rootFS{top: top} }
