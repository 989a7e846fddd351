// Package push decides whether a node takes what callers push to it, and takes it: a [Manager]
// knows who may write a datastore, asks the policy, keeps upload sessions for content that did
// not come with the push, and commits the generation to a storage. How a push travels is for
// package api.
//
// # Who may push
//
// A datastore is tracked when the node follows it: its operator says so, or its head carries a
// root statement (capsule.RootStatement). The rules are asked in this order, and the first that
// refuses is the answer:
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
// So a credential gives room on the node and never the right to write a datastore, and a writer's
// key gives that right and never room on a node that does not track the datastore. Where nothing
// else says who may write a datastore, it is the key of the first statement that was taken.
//
// # Sessions
//
// Content comes before its generation. What a push does not bring and the node does not hold is
// uploaded in a session, which ends at its commit, when it is aborted, or ten minutes after its
// last upload. Then what was staged for it is discarded, as it is after a restart: sessions are
// kept in memory alone.
package push
