// Package scorer has scorers outside of the program, for package policy: [HTTP] asks a service,
// [Exec] runs a program. Both send what node/PROTOCOL.md 1 says, and never content. [Cached] keeps
// ratings for a time.
package scorer
