// Package scan lists the files of a folder that a commit contains: regular files, including dot
// files. It omits files that ignore files exclude, and settings folders such as .git. Symbolic
// links are neither followed nor listed.
//
// [Walk] lists a folder of the disk, on several goroutines, with one system call for each file.
// [FS] lists a file system of io/fs. Both use the same walk, so commit, status and add agree on the
// files.
//
// A [Stat] has the size, the times and the mode of a file. Equal Stats mean equal content, except
// for files that changed at about the time of the read: see [Stat.OlderThan]. [Open] opens a file
// so that a commit can find out whether it changes during the read.
//
// # Rules
//
// Ignore files are .gitignore and .digignore, in every directory; .digignore takes precedence. They
// have git's syntax (package ignore). If the folder lies below that of the workspace, the ignore
// files of the directories in between apply too, and so does .git/info/exclude of the workspace's
// folder. An ignore file that is not a regular file is skipped, as in git, and [Tree.Unread] names
// it.
package scan
