// Package receive takes generations into a store that exists: those that a client pulls
// ([Install], [Assemble]) and those that are pushed to a server ([Push], [PushRecipe]), with the
// pushed ones that wait to be made the head ([Pending], [Promote], [Drop]) and the return to an
// earlier generation ([Revert]).
//
// A generation comes as a module or as a recipe and chunks. Its bytes are gathered in a transfer
// (package incoming) without the lock of the store, checked, and then published under the lock
// (package storedir).
package receive
