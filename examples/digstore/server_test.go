package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	randv2 "math/rand/v2"

	"github.com/rogpeppe/go-internal/testscript"
)

// running holds the servers of all scripts by process id.
var running sync.Map

// server is a "digstore serve" in a process of its own.
type server struct {
	cmd    *exec.Cmd
	url    string
	stderr strings.Builder
	once   sync.Once
	err    error
}

// startServer runs digstore with args and "serve --json" and waits for its banner.
func startServer(dir, identity string, args ...string) (*server, error) {
	if !slices.Contains(args, "serve") {
		args = append([]string{"serve"}, args...)
	}
	if !slices.Contains(args, "--bind") {
		args = append(args, "--bind", "127.0.0.1:0")
	}
	s := &server{cmd: exec.Command("digstore", append(args, "--json")...)}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = dir, append(os.Environ(), "DIG_IDENTITY_DIR="+identity), &s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var banner struct{ URL string }
	if err == nil {
		err = json.Unmarshal(line, &banner)
	}
	if err != nil || banner.URL == "" {
		s.stop()
		return nil, fmt.Errorf("no banner: %v: %s%s", err, line, s.stderr.String())
	}
	s.url = banner.URL
	go io.Copy(io.Discard, out)
	return s, nil
}

// stop interrupts the server; the error is that of its end.
func (s *server) stop() error {
	s.once.Do(func() {
		_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended
		if err := s.cmd.Wait(); err != nil {
			s.err = fmt.Errorf("serve ended badly: %w: %s", err, s.stderr.String())
		}
	})
	return s.err
}

// pattern is n bytes that follow from name.
func pattern(name string, n int) []byte {
	var seed [32]byte
	copy(seed[:], name)
	b := make([]byte, n)
	_, _ = randv2.NewChaCha8(seed).Read(b) // never fails
	return b
}

// certs writes ca.pem, and cert.pem with key.pem for 127.0.0.1 that it signed.
func certs(ts *testscript.TestScript, neg bool, args []string) {
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		return key
	}
	write := func(name, kind string, der []byte) {
		ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	caKey, key := newKey(), newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	ts.Check(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test host"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	ts.Check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	write("ca.pem", "CERTIFICATE", caDER)
	write("cert.pem", "CERTIFICATE", leafDER)
	write("key.pem", "PRIVATE KEY", keyDER)
}
