// Package prove answers challenges for a node with bounded work.
//
// A [Pipeline] stands in front of a capsule.Responder, which makes the proofs that a challenge asks
// for at the same time. The Pipeline answers so many challenges at once, lets so many more wait,
// and refuses what comes beyond with [ErrBusy]. A panic in making a proof is the error of that
// challenge.
//
// A [Fallback] searches work on a device where there is one, checks what it finds, and goes on with
// the CPU when the device fails.
//
// A capsule that is held and in no plot yet cannot be proved: the Responder answers
// capsule.ErrNotReady when its member Held says so.
package prove
