// Package metamorphic runs random sequences of commands of the digstore
// program against a plain model of what must come out. Only tests import it.
//
// [Run] takes one sequence. It starts real processes: two publishers, a host
// and a mirror that serve, and an archive that takes modules from files. A
// seed decides every step: which command runs where, what changes in a folder
// before it, when a process is killed, and which two commands run at once. The
// contents are trees of internal/corpus.
//
// The model keeps, for every store in every workspace, the list of its
// generations, which of them are held, and the files and the module of each.
// After each step new processes list, verify, export and check out what the
// workspaces hold. A difference from the model is a [Failure]; it prints the
// steps as lines for a shell.
//
// A seed repeats the same steps. It does not repeat the moment at which a kill
// meets a process, so a failure beside a kill may need several runs.
package metamorphic
