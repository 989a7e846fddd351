// Package openapi holds recorded answers of a node against the schemas of /openapi.json. It has a
// test alone; it is in this module because of the library that validates JSON.
package openapi
