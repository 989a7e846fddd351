// Package multisource fetches modules from several untrusted origins at once. It fetches a module
// in segments from all origins that support ranges, or divides a list of spans among them. It
// records which origin sent which bytes. If the module fails verification, each origin is tried
// alone until one sends a module that passes, and the origins that sent other bytes are excluded.
package multisource
