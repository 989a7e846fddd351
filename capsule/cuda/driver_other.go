//go:build !linux || !(amd64 || arm64)

package cuda

import (
	"fmt"
	"runtime"
)

func open(string, int) (gpu, error) {
	return nil, fmt.Errorf("%w: not supported on %s/%s", ErrUnavailable, runtime.GOOS,
		runtime.GOARCH)
}

func lockThread() func() { return func() {} }
