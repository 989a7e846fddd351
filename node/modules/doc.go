// Package modules lets a node serve the modules of stores as capsules without keeping them twice:
// a [Storage] is a storage.Storage that has, besides what another storage keeps, generations whose
// content is cut from modules of a server.Backend each time it is read.
//
// The capsules of a module are its windows of capsule.DefaultSize. Only their manifest is kept, in
// a directory, as a file for each generation:
//
//	<store>/<capsule root>.json   module_root, head, modified, meta and manifest
//
// The module itself stays where the backend has it. Removing such a generation removes the file
// alone.
package modules
