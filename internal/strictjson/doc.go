// Package strictjson reads JSON from untrusted sources. It accepts what encoding/json accepts,
// except what two readers may read differently and what only costs time or memory: a name that
// stands twice in one object, and values nested deeper than a limit.
//
// [Unmarshal] decodes a text that is in memory. A [Reader] reads a text of any length as a
// stream and also refuses other spellings of names, null, and numbers that are not plain
// unsigned integers.
package strictjson
