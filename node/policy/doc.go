// Package policy decides what a node accepts and keeps. A decision is a pure function of a
// configuration, a candidate and a state, which the caller supplies. Only a configured scorer may
// use external services. The package builds on node/economy.
//
// The rules run in this order, and the first verdict is final:
//
//	 1  origin is local                               accept  local
//	 2  a blacklist pattern matches                   reject  blacklisted
//	 3  the root is revoked or quarantined            reject  tombstoned
//	 4  no room, and nothing may make way             reject  no_space
//	 5  a whitelist pattern matches, or it is pinned
//	    or tracked                                    accept  whitelisted, tracked
//	 6  selective, and neither a scorer nor a known
//	    reward can qualify it                         reject  not_whitelisted
//	 7  tier is not in the filter                     reject  tier_filtered
//	 8  reward and bribe are below the least          reject  reward_too_low
//	 9  too few others have it; over the quota        reject  too_few_providers, mode_quota
//	10  the scorer rates it below the threshold       reject  scored_low
//	11  otherwise                                     accept  mode_default
//
// accept_all skips rules 6 to 10. A [Decision] has the result of every rule that ran, so that an
// explanation and a decision cannot differ.
//
// Rule 8 does not refuse a candidate with an unknown reward. In selective mode an unknown reward
// does not qualify a candidate: if no list names it, the scorer decides, or it is refused.
//
// [ParseSettings] reads the dictionaries by which node operators describe a mode; [Archive],
// [Cache] and [Selective] are modes of operation.
package policy
