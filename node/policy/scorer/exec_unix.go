//go:build unix

package scorer

import (
	"os/exec"
	"syscall"
)

// workingDir is the working directory of programs.
func workingDir() string { return "/" }

// ownGroup makes a program start in a new process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the process group of a program.
func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
