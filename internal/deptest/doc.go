// Package deptest holds the rules of what each package of this module may
// import, as a test over `go list`. It has no code of its own.
//
// The table in table_test.go has a row for every package: the packages of ours
// that it may name, and the third-party packages that may be linked into a
// program by it, directly or through ours. A package without a row fails the
// test, so a new one says what it stands on. What a library itself imports is
// its own affair, except that nothing below package remote may bring net/http.
//
// The floors follow from the table: a row names packages of lower rows only,
// and plot, digstore and remote do not name each other.
//
// A failure tells the shortest chain of imports that brought the forbidden one.
package deptest
