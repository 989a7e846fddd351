//go:build unix

package scorer

import (
	"os/exec"
	"syscall"
)

// workingDir is the working directory of programs.
func workingDir() string { return "/" }

// ownGroup has a program start in a process group of its own.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a program and all of its group.
func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
