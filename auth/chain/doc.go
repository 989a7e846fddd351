// Package chain reads what Chia's chain says about a store: which root it has, which it had, and who may write.
package chain
