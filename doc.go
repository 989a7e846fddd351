// Package dig is documentation only: the map of the module.
package dig
