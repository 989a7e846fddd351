//go:build !windows

package main

// brokenPipe returns false: EPIPE is the only such error.
func brokenPipe(error) bool { return false }
