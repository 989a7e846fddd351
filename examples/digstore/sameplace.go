package main

import (
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/remote"
)

// markServing records in the workspace that this process serves it, for
// warnSamePlace. It returns nil if that fails, for example on a read-only disk.
func (a *app) markServing(ws *digstore.Workspace, addr net.Addr) io.Closer {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return nil
	}
	mark, err := ws.MarkServing(tcp.Port)
	if err != nil {
		return nil // push only loses a warning
	}
	return mark
}

// warnSamePlace warns if the target of a push serves the workspace that is pushed. It
// does not detect another host name or a proxy.
func (a *app) warnSamePlace(to remote.URL) {
	at, err := url.Parse(to.Endpoint())
	if err != nil || !thisMachine(at.Hostname()) {
		return
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		return // a standard port, which serve does not use
	}
	ws, err := a.workspace()
	if err != nil {
		return
	}
	defer ws.Close()
	if same, err := ws.ServedAt(port); err == nil && same {
		a.warn("%s serves this workspace, %s: the store is not copied anywhere", to.Origin(),
			oneline.Name(ws.Dir()))
	}
}

// thisMachine reports whether host is localhost or an address of this machine.
func thisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	if ip.IsLoopback() {
		return true
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, addr := range list {
		if network, ok := addr.(*net.IPNet); ok && network.IP.Equal(ip.AsSlice()) {
			return true
		}
	}
	return false
}
