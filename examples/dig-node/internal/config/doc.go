// Package config reads the configuration of dig-node: node.yaml, the environment and flags.
//
// A setting has a key of dotted names, as in storage.max_plots. A flag wins over the environment,
// the environment over the file, and the file over the default. The table in settings.go has the
// default and the meaning of every key, and says which ones a reload applies.
//
// Load fails on an unknown key, a duplicate key, and a value out of its range. All problems are
// reported together, each with its key and its place.
package config
