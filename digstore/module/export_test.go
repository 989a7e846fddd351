package module

// Filler is the first n bytes of the standard filler of a generation.
func Filler(id ID, n int) []byte {
	b := make([]byte, n)
	k := newKeystream(id)
	k.read(b, 0)
	return b
}
