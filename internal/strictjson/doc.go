// Package strictjson reads JSON that strangers wrote. It takes what
// encoding/json takes, less what two readers may read differently and what is
// only there to cost something: a name that stands twice in one object, and
// values nested deeper than MaxDepth. How long a text may be is the business
// of whoever reads it from its source.
package strictjson
