// Package puzzle has the programs that the coins of stores, wallets and assets are made of: the
// programs themselves, their tree hashes, and the layers that are curried from them.
//
// Package chain reads stores and needs hashes only. Package spend reveals the programs. The
// hashes are constants; a test compares each with the tree hash of its program.
//
// The layers are described in auth/chain/LINEAGE.md 3, the programs are listed in
// auth/chain/LINEAGE.md 2.1.
package puzzle
