package cdc

// Table lets the tests see what a byte adds to the hash.
var Table = &table
