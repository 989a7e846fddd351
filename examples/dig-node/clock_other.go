//go:build !linux

package main

// clockState returns false: the system is not asked.
func clockState() (known, synchronized bool) { return false, false }

// monotonicMicros returns 0: there is no systemd.
func monotonicMicros() int64 { return 0 }
