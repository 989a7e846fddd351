// Package push decides whether a node accepts a push, and executes it. A [Manager] checks whether
// the caller may write the datastore, asks the policy, has upload sessions for content that is not
// in the push, and commits the generation to a storage. The wire format is in package api.
//
// # Who may push
//
// A datastore is tracked when the node follows it: its operator says so, or its head carries a root
// statement (capsule.RootStatement). The rules are checked in this order, and the first refusal is
// the result:
//
//	statement, key neither named nor known       ErrUnknownWriter
//	statement that does not verify               auth.ErrSignature
//	writers known, key not among them            ErrNotWriter
//	tracked, no statement                        ErrNotWriter
//	not tracked, no valid credential             ErrUnauthorized
//	tracked, no credential and no identity       ErrUnauthorized
//	stored for another credential, no statement  auth.ErrForbidden
//	the policy                                   Result.Accepted is false
//
// So a credential grants space on the node and never the right to write a datastore. A writer's key
// grants that right, and space only on a node that tracks the datastore. If no source has the
// writers of a datastore, the writer is the key of the first accepted statement.
//
// # Sessions
//
// Content is stored before its generation. Content that is neither in the push nor at the node is
// uploaded in a session. A session ends when it is committed or aborted, or ten minutes after its
// last upload. Then its staged content is discarded. Sessions are only in memory, so a restart ends
// them too.
package push
