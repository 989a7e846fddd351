// Package ignore decides which files ignore files exclude. It has the syntax and the semantics of
// git's .gitignore. It works on bytes and names and reads no file: package scan does.
//
// [Parse] reads the lines of one ignore file. A [List] has the patterns that apply in one
// directory. Those of its own ignore files take precedence over those of the directories above:
//
//	rules := (*ignore.List)(nil).With("", ignore.Parse(text))
//	rules.Ignores("a/b.txt", false)
//
// A walk makes one List for each directory that it enters. So a pattern is matched only against
// entries below its own file. Entries of an ignored directory are never matched: as in git, they
// cannot be included again.
//
// # Time
//
// The time for one match is bounded by the product of the lengths of pattern and name. Ignore files
// are untrusted, and a pattern like *a*a*a*b takes exponential time in a backtracking matcher.
//
// # Why not a library
//
// Two libraries were run on the random patterns and paths of TestIgnoreAgreesWithGit, where this
// package always agrees with "git check-ignore". Of 11,398 paths, go-git (plumbing/format/gitignore
// v5.16.2) disagreed on 572 and sabhiram/go-gitignore on 737; with patterns of ordinary tokens only
// (letters, *, **, ?, simple classes, !) on 579 and 931. A file that a user has excluded from a
// commit must not be published, so an approximation is not enough. FuzzGlob compares the matcher
// with a simple backtracking one.
package ignore
