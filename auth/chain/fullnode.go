package chain

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"github.com/dig-network/digstore/internal/regular"
)

// FullNodeURL is where a full node answers on its own machine.
const FullNodeURL = "https://localhost:8555"

// NewFullNode returns a source that asks a full node, with the certificates in its Chia directory (such as
// ~/.chia/mainnet): config/ssl/full_node/private_full_node.crt and .key show the node who asks, and
// config/ssl/ca/private_ca.crt is the only authority that is believed about the node, under the name chia.net,
// which is the one in Chia's certificates. base "" is [FullNodeURL]. o.TLS is not used.
//
// A full node of one's own is believed alone: its trust is [TrustNode] unless o says otherwise.
// A directory without certificates is [fs.ErrNotExist].
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
		return nil, fmt.Errorf("full node: read the authority of its Chia directory: %w; give the directory of a node that was started once", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("full node: %s holds no certificate", filepath.Join(ssl, "ca", "private_ca.crt"))
	}
	name := filepath.Join(ssl, "full_node", "private_full_node")
	mine, err := readPair(name+".crt", name+".key")
	if err != nil {
		return nil, fmt.Errorf("full node: read the client certificate of its Chia directory: %w", err)
	}
	opt.TLS = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{mine}, ServerName: "chia.net"}
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
