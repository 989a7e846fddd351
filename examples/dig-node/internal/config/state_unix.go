//go:build unix && !darwin

package config

import "path/filepath"

func stateDir(home string) string { return filepath.Join(home, ".local", "state", "dig-node") }
