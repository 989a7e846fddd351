// Package files implements sources of a node by files: the keys that may write datastores
// ([Access]), the names of datastores ([Handles]), the earnings of the node ([Rewards]), and offers
// to pay for holding datastores ([Bribes]).
//
// A file is a list of JSON objects, or JSON lines: one object after the other. Unknown and
// duplicate members are errors. A datastore is 64 hexadecimal digits, with or without 0x. Times are
// Unix seconds. Amounts are numbers of DIG.
//
//	access    {"datastore_id": "…", "owner": "<public key>", "writers": ["<public key>"]}
//	handles   {"handle": "mydata", "datastore_id": "…", "tier": 4, "registration_time": 1700000000,
//	           "expires_at": null, "metadata": {}}
//	rewards   {"time": 1700000000, "kind": "reward", "amount": 1.5, "datastore_id": "…"}
//	bribes    {"datastore_id": "…", "distributor": "…", "reward_per_tb": 10, "balances": {"XCH": 1},
//	           "min_consolidation": 0.5, "regions": ["eu"], "max_latency_ms": 100,
//	           "min_uptime": 0.9, "distributed": 0, "last_distribution": 1700000000}
//
// The Open functions read a file and fail if it is malformed. Later, Run or Refresh reads the file
// again when it has changed. If the new version is malformed or missing, the previous version stays
// in use. Refresh returns, and Run logs, the error with its line.
//
// Files are read whole within the limits MaxFile, MaxEntry and MaxEntries. Only regular files are
// opened.
package files
