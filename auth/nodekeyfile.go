package auth

import "path/filepath"

// NodeKeyPath returns the path of the user's node key: node_key.bin in the directory of the
// identity key. See IdentityPath.
func NodeKeyPath() (string, error) {
	identity, err := IdentityPath()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(identity), "node_key.bin"), nil
}

// LoadNodeKey reads the node key in the file at path, or makes one and writes it there, as LoadKey
// does. The file has the 32 bytes of the seed.
func LoadNodeKey(path string) (*NodeKey, error) {
	k, err := LoadKey(path)
	if err != nil {
		return nil, err
	}
	return NewNodeKey(k.Seed()), nil
}

// ReadNodeKey reads the node key in the file at path, as ReadKey does.
func ReadNodeKey(path string) (*NodeKey, error) {
	k, err := ReadKey(path)
	if err != nil {
		return nil, err
	}
	return NewNodeKey(k.Seed()), nil
}
