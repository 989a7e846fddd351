// Package vectors gives tests the shared test vectors and tells them how
// thorough this run is to be. Only tests import it.
//
// The vectors are files that lie outside the repository: in the directory that
// DIG_VECTORS names or, when it is unset, in shared/vectors beside the
// checkout. A test whose vectors are not there is skipped and says which file
// it missed; it never passes without having seen a case.
//
//	var file struct {
//		Cases []struct{ Name string; Data vectors.Hex }
//	}
//	vectors.Load(t, "store/codec.json", &file)
//
// Any file of the same shape can be put in the place of one: [Load] ignores members that
// the struct does not name, tests pick no case by its name or place, and a list may be
// empty. Bytes are [Hex] in such structs, and data too long to be written down is
// [Input], a recipe for it.
//
// DIG_TEST is a comma-separated list of what to run beyond the short run:
// "long" for whole sweeps ([Long]), "real" for tests against real parties
// ([Real]).
package vectors
