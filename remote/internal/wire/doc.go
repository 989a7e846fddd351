// Package wire has the encodings that a client and a server of the dig:// protocol share: names of
// headers, JSON bodies, statuses and their errors, entity tags, ranges, packed recipes, and limits.
// Hex is written in lower case and read in either case.
//
// It makes no decisions: package server decides what a request may do, and package remote what an
// answer proves.
//
// See remote/PROTOCOL.md 4 to 8, and remote/RECIPES.md.
package wire
