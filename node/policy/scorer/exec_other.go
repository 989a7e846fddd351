//go:build !unix

package scorer

import (
	"os"
	"os/exec"
)

// workingDir is the working directory of programs.
func workingDir() string { return os.TempDir() }

// ownGroup does nothing: the system has no process groups.
func ownGroup(*exec.Cmd) {}

// killGroup kills a program.
func killGroup(cmd *exec.Cmd) error { return cmd.Process.Kill() }
