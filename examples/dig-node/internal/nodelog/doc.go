// Package nodelog writes the log of a node: one JSON object in each line, with the members
// timestamp, level, node_id, component, event and details in this order. [Handler] makes the lines,
// and [File] rotates a file by its size.
package nodelog
