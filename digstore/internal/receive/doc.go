// Package receive adds generations to an existing store. A client pulls them ([Install],
// [Assemble]), or they are pushed to a server ([Push], [PushRecipe]). A pushed generation may be
// pending until it is made the head ([Pending], [Promote], [Drop]). [Revert] makes an earlier
// generation the head again.
//
// A generation comes as a module or as a recipe and chunks. Its bytes are received into a transfer
// (package incoming) and checked without the lock of the store, and then published under the lock
// (package storedir).
package receive
