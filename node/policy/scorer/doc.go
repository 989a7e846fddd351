// Package scorer has external scorers for package policy: [HTTP] calls a service, [Exec] runs a
// program. The format of both is in node/PROTOCOL.md 1; they never send content. [Cached] caches
// ratings for a time.
package scorer
