package diskfs

// BeneathRoot is what Beneath is on systems without openat.
func BeneathRoot(top string) FS { return rootFS{top: top} }
