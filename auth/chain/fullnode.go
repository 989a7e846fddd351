package chain

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"github.com/dig-network/digstore/internal/regular"
)

// FullNodeURL is the default URL of the RPC of a local full node.
const FullNodeURL = "https://localhost:8555"

// NewFullNode returns a source for a full node, with the certificates in the node's Chia
// directory, such as ~/.chia/mainnet. The client certificate is
// config/ssl/full_node/private_full_node.crt with its .key. The only trusted authority is
// config/ssl/ca/private_ca.crt, for the name chia.net, which Chia's certificates have. An empty
// base means [FullNodeURL]. o.TLS is not used.
//
// The Trust of the source is [TrustNode] unless o sets another. If the directory has no
// certificates, the error is [fs.ErrNotExist].
func NewFullNode(base, chiaRoot string, o *RPCOptions) (*RPC, error) {
	if base == "" {
		base = FullNodeURL
	}
	var opt RPCOptions
	if o != nil {
		opt = *o
	}
	ssl := filepath.Join(chiaRoot, "config", "ssl")
	authority, err := regular.ReadFile(filepath.Join(ssl, "ca", "private_ca.crt"), maxCertificate)
	if err != nil {
		return nil, fmt.Errorf("full node: read the authority of its Chia directory: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("full node: no certificate in %s",
			filepath.Join(ssl, "ca", "private_ca.crt"))
	}
	name := filepath.Join(ssl, "full_node", "private_full_node")
	mine, err := readPair(name+".crt", name+".key")
	if err != nil {
		return nil, fmt.Errorf("full node: read the client certificate of its Chia directory: %w", err)
	}
	opt.TLS = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{mine},
		ServerName: "chia.net"}
	if opt.Trust == "" {
		opt.Trust = TrustNode
	}
	return NewRPC(base, &opt)
}

// readPair reads a certificate and its key.
func readPair(certificate, key string) (tls.Certificate, error) {
	cert, err := regular.ReadFile(certificate, maxCertificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	secret, err := regular.ReadFile(key, maxCertificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, secret)
}
