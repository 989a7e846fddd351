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
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	randv2 "math/rand/v2"

	"github.com/rogpeppe/go-internal/testscript"
)

// running holds the servers of all scripts by process id.
var running sync.Map

// serverProcess is a "digstore serve" in a process of its own.
type serverProcess struct {
	cmd    *exec.Cmd
	url    string
	banner banner
	stderr strings.Builder
	once   sync.Once
	err    error
}

// banner is the JSON that serve prints first.
type banner struct {
	Serving bool
	Bind    string
	URL     string
	Auth    string
	StoreID string `json:"store_id"`
	Root    string
	Stores  []struct {
		StoreID string `json:"store_id"`
		Root    string
	}
}

func TestBanner(t *testing.T) {
	d := newDesk(t)
	id := d.publish(".")
	one, err := startServer(d.dir, filepath.Join(d.dir, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	defer one.stop()
	b := one.banner
	if !b.Serving || b.Auth != "required" || b.StoreID != id || len(b.Root) != 64 ||
		len(b.Stores) != 1 || b.Stores[0].StoreID != id || b.Stores[0].Root != b.Root {
		t.Errorf("banner of one store: %+v", b)
	}
	if b.URL != "http://"+b.Bind || strings.HasSuffix(b.Bind, ":0") {
		t.Errorf("the banner does not say where: %+v", b)
	}
	d.must(".", "init", "other", "--dir", "site")
	d.must(".", "commit", "-m", "other")
	two, err := startServer(d.dir, filepath.Join(d.dir, "identity"), "--anonymous")
	if err != nil {
		t.Fatal(err)
	}
	defer two.stop()
	if b := two.banner; b.Auth != "anonymous" || b.StoreID != "" || b.Root != "" ||
		len(b.Stores) != 2 {
		t.Errorf("banner of two stores: %+v", b)
	}
}

// startServer runs digstore with args and "serve --json" and waits for its banner.
func startServer(dir, identity string, args ...string) (*serverProcess, error) {
	if !slices.Contains(args, "serve") {
		args = append([]string{"serve"}, args...)
	}
	if !slices.Contains(args, "--bind") {
		args = append(args, "--bind", "127.0.0.1:0")
	}
	s := &serverProcess{cmd: exec.Command("digstore", append(args, "--json")...)}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = dir, append(os.Environ(), "DIG_IDENTITY_DIR="+
		identity), &s.stderr
	interruptible(s.cmd)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s.banner)
	}
	if err != nil || s.banner.URL == "" {
		s.stop()
		return nil, fmt.Errorf("no banner: %v: %s%s", err, line, s.stderr.String())
	}
	s.url = s.banner.URL
	go io.Copy(io.Discard, out)
	return s, nil
}

// stop interrupts the server; the error is that of its end. A server that cannot be
// interrupted, because it has ended or Windows has no console here, or that does not end, is
// killed.
func (s *serverProcess) stop() error {
	s.once.Do(func() {
		if err := interrupt(s.cmd.Process); err != nil {
			_ = s.cmd.Process.Kill()
			if werr := s.cmd.Wait(); runtime.GOOS != "windows" {
				s.err = fmt.Errorf("interrupt serve: %w: %v: %s", err, werr, s.stderr.String())
			}
			return
		}
		defer time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() }).Stop()
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
		ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}),
			0o600))
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
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	ts.Check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	write("ca.pem", "CERTIFICATE", caDER)
	write("cert.pem", "CERTIFICATE", leafDER)
	write("key.pem", "PRIVATE KEY", keyDER)
}
