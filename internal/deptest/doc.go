// Package deptest has tests of the whole module: which packages each package may import, and
// that citations of documents are right. It has no code of its own.
//
// The table in table_test.go has a row for every package: the packages of the module that it
// may import, and the third-party packages that it may link, directly or indirectly. A package
// without a row fails the test. Imports of third-party packages are not checked, except that
// nothing below package remote may link net/http. A row lists packages of earlier rows only, and
// plot, digstore and remote do not import each other. A failure shows the shortest chain of
// imports to the forbidden package.
//
// Go files and documents may cite documents of the repository, and sections that these have, as
// in digstore/LAYOUT.md 5.1. Citations of other specifications fail.
package deptest
