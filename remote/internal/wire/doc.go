// Package wire holds what travels between a client and a server of the dig:// remote, once for both
// sides: names of headers, bodies in JSON, statuses and the errors that they stand for, entity
// tags, ranges, packed recipes, and the limits that both keep. Hex is written in lower case and
// read in either case.
//
// It decides nothing: what a request may do is package server's business, what an answer is worth
// that of package remote.
//
// See remote/PROTOCOL.md 4 to 8, and remote/RECIPES.md.
package wire
