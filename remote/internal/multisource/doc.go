// Package multisource fetches modules from several origins at once, none of which is trusted. A
// module comes in segments of all origins that give parts, or as parts that are shared out among
// them. Who sent which bytes is noted; when the module is refused, each origin is tried alone until
// one gives a module that passes, and those whose bytes differ from that one are excluded.
package multisource
