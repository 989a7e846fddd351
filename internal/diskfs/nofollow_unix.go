//go:build unix

package diskfs

import "golang.org/x/sys/unix"

// noFollow makes opening a link an error, and opening a FIFO return at once.
const noFollow = unix.O_NOFOLLOW | unix.O_NONBLOCK
