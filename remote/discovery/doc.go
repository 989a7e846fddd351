// Package discovery finds the node that answers for a locator without a host: one that is
// configured, one on this machine or in the local network, or the public one. See
// remote/PROTOCOL.md 2.5.
//
//	o := &remote.ClientOptions{Resolver: &discovery.Resolver{}}
package discovery
