//go:build !windows

package main

import (
	"os"
	"os/exec"
)

// interruptible prepares a command for interrupt.
func interruptible(*exec.Cmd) {}

// interrupt presses Ctrl-C for a process.
func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }
