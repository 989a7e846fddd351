// Package tier decides where a node stores capsules, and runs the background jobs over them.
//
// # Tiers
//
// A node keeps a capsule in up to four tiers:
//
//	L1  memory; what is read often
//	L2  memory or a fast disk; what is read now and then
//	L3  plots on volumes of class economy.SSD
//	L4  plots on volumes of class economy.HDD
//
// Content that is in no plot yet is in the storage ("loose"). L1 and L2 are a cache.Cache. A plot
// is an immutable file from which a node proves that it holds capsules. [Tiers] reads a capsule
// from the first of L1, L2, the plots and the storage that has it. It returns only content that was
// verified against the descriptor in the index.
//
// # What is absent, and what cannot be read
//
// fs.ErrNotExist means that this node does not hold the capsule. If it should hold the capsule and
// cannot read it now, because a volume is missing or a disk fails, the error is [ErrUnavailable].
// If all copies are damaged, it is [ErrCorrupt]. Until every volume has been listed since the
// start, nothing is reported as fs.ErrNotExist.
//
// A volume is recognized by a file in it (VolumeMarker). If the path has no marker, or that of
// another volume, the volume is missing: nothing is read or written there, and its entries stay in
// the index.
//
// # Jobs
//
// [Tiers.Run] owns all background work. Each job can also be run by hand:
//
//	Refresh   brings the index up to date with the storage and the volumes
//	Plan      lists what is to be removed, and Collect removes it
//	Review    asks the policy about what is stored
//	AutoPlot  makes plots of heads that are in no plot
//	Release   removes loose content that is in plots which passed full verification
//	Age       moves old plots to slower volumes
//	Compact   writes plots anew that hold much that was removed
//	Scrub     reads everything at a bounded rate, and repairs what is damaged
//
// # What is kept beside
//
// Config.StateFile has the state that is not in the storage and the plots: the generations that
// were removed or revoked while a plot still holds them, quarantined copies, the last access of
// each datastore, the datastores that the policy has refused, the ids of the volumes, and the
// position of the scrub.
package tier
