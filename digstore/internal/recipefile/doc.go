// Package recipefile encodes and decodes recipe files: modules without their chunks, as a store
// keeps them. It works on byte slices and opens no file. LAYOUT.md 7 is the format.
//
// A [Body] is the content of a file: a recipe and, for a commit of this store, the names of its
// resources. A file stores the body, or the difference from the body of an earlier generation:
//
//	body, err := recipefile.NewBody(recipe, names)
//	file, err := recipefile.Encode(body.Bytes, base)    // base may be nil
//
//	header, err := recipefile.ParseHeader(file)         // names the base, which the caller reads
//	bytes, err := recipefile.Decode(file, baseBytes)
//	body, err := recipefile.ParseBody(bytes)
//
// [Bases] returns the earlier generations on which the file of a generation may be built.
//
// # Two encodings of a difference
//
// In transfers a recipe is a zstd frame with the base as its dictionary (remote/RECIPES.md §2). On
// disk it is a list of copies and insertions, in a zstd frame without a dictionary (LAYOUT.md 7.3).
// The table compares them for a generation that changes one of n resources, on two shared cores:
//
//	n        body      copies and insertions   dictionary, "better"   dictionary, "fastest"
//	100      16 KB     126 B, 0.2 ms           117 B, 11 ms           111 B, 0.3 ms
//	3,000    456 KB    128 B, 0.3 ms           712 B, 15 ms           66 KB, 1 ms
//	30,000   4.5 MB    133 B, 30 ms            10 KB, 140 ms          3.4 MB, 77 ms
//	200,000  30 MB     124 B, 70 ms            19 MB, 1.1 s           24 MB, 0.3 s
//
// With 5 % of the resources changed both have the same size up to 30,000 resources; with 200,000
// the difference is 1.3 MB and the dictionary form 20 MB. A store writes a difference in each
// commit and keeps it, so it uses the shorter form. The other form is fixed by the protocol.
package recipefile
