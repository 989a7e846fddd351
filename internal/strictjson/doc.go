// Package strictjson reads JSON from untrusted sources. It accepts what encoding/json accepts,
// except duplicate names in one object, which readers interpret differently, and values nested
// deeper than a limit.
//
// [Unmarshal] decodes a text in memory. A [Reader] reads a text of any length as a stream. It
// also refuses names in another letter case, null, and numbers that are not unsigned integers
// in decimal digits.
package strictjson
