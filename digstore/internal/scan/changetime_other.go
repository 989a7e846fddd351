//go:build !linux && !windows && !darwin

package scan

import "os"

func changeTimeAt(string, os.FileInfo) int64 { return 0 }

func changeTimeIn(*os.File, os.FileInfo) int64 { return 0 }
