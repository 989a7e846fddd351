//go:build purego || !(amd64 || arm64)

package gcmsiv

// An engine says which code runs. Here there is the portable one only.
type engine uint8

const portable engine = 0

func bestEngine() engine { return portable }

// engines returns the engines this machine can run.
func engines() []engine { return []engine{portable} }

func (e engine) String() string { return "portable" }

type (
	aesKey  = softAES
	hashKey = softHash
)
