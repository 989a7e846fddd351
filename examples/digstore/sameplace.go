package main

import (
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/remote"
)

// markServing notes in the workspace that this process serves it, for warnSamePlace. nil: it cannot be noted, as on a
// disk that is read-only.
func (a *app) markServing(ws *digstore.Workspace, addr net.Addr) io.Closer {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return nil
	}
	mark, err := ws.MarkServing(tcp.Port)
	if err != nil {
		return nil // only a warning of push is lost
	}
	return mark
}

// warnSamePlace warns when a push would go to the workspace that it comes from. A URL that leads there by another name
// or a proxy is not noticed.
func (a *app) warnSamePlace(to remote.URL) {
	at, err := url.Parse(to.Endpoint())
	if err != nil || !thisMachine(at.Hostname()) {
		return
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		return // a standard port, where a proxy is before a server
	}
	ws, err := a.workspace()
	if err != nil {
		return
	}
	defer ws.Close()
	if same, err := ws.ServedAt(port); err == nil && same {
		a.warn("%s serves this workspace, %s: the store is not copied anywhere", to.Origin(), printable(ws.Dir()))
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
