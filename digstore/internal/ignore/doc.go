// Package ignore decides which files ignore files leave out. It has the syntax and the answers of
// git's .gitignore. It works on bytes and names, and reads no file: package scan does.
//
// [Parse] reads the lines of one ignore file. A [List] has the patterns that hold in one directory,
// those of its own ignore files before those of the directories above it:
//
//	rules := (*ignore.List)(nil).With("", ignore.Parse(text))
//	rules.Ignores("a/b.txt", false)
//
// A walk makes one List for each directory that it enters. So a pattern is asked only about entries
// below its own file. What lies in an ignored directory is never asked about: as in git, it cannot
// be included again.
//
// # Time
//
// The time for one answer is bounded by the product of the lengths of pattern and name, whatever
// the pattern is. Ignore files come from other people, and a pattern like *a*a*a*b takes
// exponential time in a matcher that tries one way after the other.
//
// # Why not a library
//
// Two libraries were asked about the random patterns and paths of TestIgnoreAgreesWithGit, where
// this package gives the answer of "git check-ignore" each time. Of 11,398 paths, go-git
// (plumbing/format/gitignore v5.16.2) gave another answer for 572 and sabhiram/go-gitignore for
// 737; with patterns of ordinary tokens only (letters, *, **, ?, simple classes, !) for 579 and
// 931. A file that a user has left out of a commit must not be published, so an approximation is
// not enough. FuzzGlob compares the matcher with a plain one that tries all ways.
package ignore
