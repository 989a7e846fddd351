// Package prove answers challenges for a node with bounded work.
//
// A [Pipeline] wraps a capsule.Responder, which makes the proofs of a challenge concurrently. The
// Pipeline limits the number of running and of waiting challenges, and refuses others with
// [ErrBusy]. A panic in a proof becomes the error of its challenge.
//
// A [Fallback] searches work on a device, checks the result, and continues on the CPU if the device
// fails.
//
// A capsule that is held but in no plot yet cannot be proved. The Responder returns
// capsule.ErrNotReady if its field Held reports that the capsule is held.
package prove
