package chain_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth/chain"
)

// An authority signs certificates, like the private authority of a Chia directory.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := new(authority)
	a.cert, a.key = issue(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Chia CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// issue makes a certificate signed by a, or self-signed if a is nil.
func issue(t *testing.T, a *authority, template *x509.Certificate) (*x509.Certificate,
	*ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()),
		time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	by := &authority{template, key}
	if a != nil {
		by = a
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// leaf makes a certificate for name, and returns it and its PEM forms.
func (a *authority) leaf(t *testing.T, name string) (tls.Certificate, []byte, []byte) {
	t.Helper()
	cert, key := issue(t, a, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Chia"}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt, k := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: cert.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	pair, err := tls.X509KeyPair(crt, k)
	if err != nil {
		t.Fatal(err)
	}
	return pair, crt, k
}

// chiaRoot writes a Chia directory with the trusted authority and a certificate by client.
func chiaRoot(t *testing.T, trusted, client *authority) string {
	t.Helper()
	_, crt, key := client.leaf(t, "chia.net")
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"ca/private_ca.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
			Bytes: trusted.cert.Raw}),
		"full_node/private_full_node.crt": crt,
		"full_node/private_full_node.key": key,
	} {
		name = filepath.Join(dir, "config", "ssl", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestFullNode: client and full node accept only certificates of the node's own authority.
func TestFullNode(t *testing.T) {
	c, s := minted(t, 3)
	mine, other := newAuthority(t), newAuthority(t)
	serve := func(a *authority, name string, version uint16) string {
		pair, _, _ := a.leaf(t, name)
		clients := x509.NewCertPool()
		clients.AddCert(mine.cert)
		srv := httptest.NewUnstartedServer(c.Handler(nil))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MaxVersion: version}
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv.URL
	}
	for name, tt := range map[string]struct {
		url  string
		root string
		ok   bool
	}{
		"as it should be":              {serve(mine, "chia.net", 0), chiaRoot(t, mine, mine), true},
		"with TLS 1.2":                 {serve(mine, "chia.net", tls.VersionTLS12), chiaRoot(t, mine, mine), true},
		"with TLS 1.1":                 {serve(mine, "chia.net", tls.VersionTLS11), chiaRoot(t, mine, mine), false},
		"a node of another CA":         {serve(other, "chia.net", 0), chiaRoot(t, mine, mine), false},
		"a node of another name":       {serve(mine, "localhost", 0), chiaRoot(t, mine, mine), false},
		"a client of another CA":       {serve(mine, "chia.net", 0), chiaRoot(t, mine, other), false},
		"another authority is trusted": {serve(mine, "chia.net", 0), chiaRoot(t, other, mine), false},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			r, err := chain.NewFullNode(tt.url, tt.root,
				&chain.RPCOptions{OnRetry: func(error, time.Duration) { tries++ }})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			tip, err := chain.NewResolver(r, fresh()).Tip(t.Context(), s.ID())
			if !tt.ok {
				if !errors.Is(err, chain.ErrUnavailable) || !strings.Contains(err.Error(), tt.url) {
					t.Errorf("%+v, %v, want ErrUnavailable", tip, err)
				}
				if tries != 0 && name != "with TLS 1.1" {
					t.Errorf("a certificate was tried %d times again: %v", tries, err)
				}
				return
			}
			if err != nil || tip.Root() != root(3) || tip.Trust != chain.TrustNode {
				t.Errorf("%+v, %v", tip, err)
			}
		})
	}
	if _, err := chain.NewFullNode("", t.TempDir(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v, want fs.ErrNotExist", err)
	}
	if _, err := chain.NewRPC("https://localhost",
		&chain.RPCOptions{TLS: &tls.Config{InsecureSkipVerify: true}}); err == nil {
		t.Error("a source that verifies nothing was made")
	}
}
