// Package files has the sources of a node that are files: who may write datastores ([Access]), the
// names of datastores ([Handles]), what the node earns ([Rewards]), and offers to pay for holding
// datastores ([Bribes]).
//
// A file is a list of JSON objects, or JSON lines: one object after the other. Members that are not
// known are an error, and so are members that are given twice. A datastore is 64 hexadecimal
// digits, with or without 0x. Times are Unix seconds. Amounts are numbers of DIG.
//
//	access    {"datastore_id": "…", "owner": "<public key>", "writers": ["<public key>"]}
//	handles   {"handle": "mydata", "datastore_id": "…", "tier": 4, "registration_time": 1700000000,
//	           "expires_at": null, "metadata": {}}
//	rewards   {"time": 1700000000, "kind": "reward", "amount": 1.5, "datastore_id": "…"}
//	bribes    {"datastore_id": "…", "distributor": "…", "reward_per_tb": 10, "balances": {"XCH": 1},
//	           "min_consolidation": 0.5, "regions": ["eu"], "max_latency_ms": 100,
//	           "min_uptime": 0.9, "distributed": 0, "last_distribution": 1700000000}
//
// Open… reads a file and fails when it is wrong. From then on Run, or Refresh, reads it again after
// it has changed. A new version that is wrong, or missing, does not count: the one before stays,
// and Refresh returns, and Run logs, what is wrong and in which line.
//
// Files are read whole within the limits MaxFile, MaxEntry and MaxEntries. Only regular files are
// opened.
package files
