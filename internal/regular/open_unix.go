//go:build unix

package regular

import "syscall"

// nonBlocking makes an open of a pipe return at once.
const nonBlocking = syscall.O_NONBLOCK
