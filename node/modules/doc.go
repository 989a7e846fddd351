// Package modules lets a node serve the modules of stores as capsules without storing them twice. A
// [Storage] is a storage.Storage over another one. It adds generations whose content is read from
// the modules of a server.Backend.
//
// The capsules of a module are its windows of capsule.DefaultSize. Only their manifest is kept, in
// a directory, as a file for each generation:
//
//	<store>/<capsule root>.json   module_root, head, modified, meta and manifest
//
// The module itself stays in the backend. Removing such a generation removes only the file.
package modules
