//go:build !unix || darwin

package config

// stateDir returns "": the system has no state folder besides that of configurations.
func stateDir(string) string { return "" }
