// Package tier decides where the capsules of a node live, and runs the jobs over them.
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
// Content that is in no plot yet is in the storage ("loose"). L1 and L2 are a cache.Cache; a plot
// is a file that never changes and from which a node proves what it holds. [Tiers] reads a capsule
// from the first of L1, L2, the plots and the storage that has it, and hands out nothing that was
// not verified against the descriptor in the index.
//
// # What is absent, and what cannot be read
//
// fs.ErrNotExist means that this node does not hold the capsule. A capsule that it should hold and
// cannot read now, because a volume is away or a disk fails, is [ErrUnavailable]; one all of whose
// copies are damaged is [ErrCorrupt]. As long as not every volume has been listed since the start,
// nothing is reported as absent.
//
// A volume is recognized by a file in it (VolumeMarker). A path that has no marker, or that of
// another volume, is a volume that is away: nothing is read from there, written there, or
// forgotten because of it.
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
// Config.StateFile has what the storage and the plots do not say: which generations were removed
// or revoked while a plot still holds them, what is quarantined, when a datastore was read last,
// which datastores the policy has refused, the ids of the volumes, and where the scrub is.
package tier
