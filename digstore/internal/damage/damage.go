// Package damage makes errors about damaged files of a workspace. All of them match
// [module.ErrDamaged], which package digstore exports as ErrCorrupt.
package damage

import (
	"fmt"

	"github.com/dig-network/digstore/digstore/module"
)

// Errorf formats an error that matches module.ErrDamaged. It names no file: codecs use it, and the
// caller that has opened the file adds its name.
func Errorf(format string, a ...any) error {
	return fmt.Errorf("%w: %s", module.ErrDamaged, fmt.Sprintf(format, a...))
}

// In is Errorf with the name of the damaged file or folder in front.
func In(name, format string, a ...any) error {
	return fmt.Errorf("%s: %w", name, Errorf(format, a...))
}
