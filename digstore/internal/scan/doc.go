// Package scan lists the files of a folder that a commit takes: regular files, with dot files,
// without those that ignore files name and without settings folders such as .git. Symbolic links
// are neither followed nor listed.
//
// [Walk] lists a folder of the disk, on several goroutines, with one system call for each file.
// [FS] lists a file system of io/fs. Both are one walk over different sources: what a commit takes,
// what status compares and what add stages are the same files.
//
// A [Stat] describes a file by what the system says about it. Equal Stats mean equal content,
// except for files that changed at about the time at which they were read: [Stat.OlderThan]. [Open]
// opens a file of the disk for a commit, which has to know whether it changes while it is read.
//
// # Rules
//
// Ignore files are .gitignore and .digignore, in every directory; the latter counts more. They have
// git's syntax (package ignore). For a folder below that of the workspace, those of the directories
// in between hold too, and .git/info/exclude of the workspace's folder. An ignore file that is no
// regular file has no rules, as in git, and [Tree.Unread] names it.
package scan
