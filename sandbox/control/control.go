// Package control serves a sandbox to people and to programs in any language, on one port: the
// gateway itself, an API that controls it under /_sandbox/v1, and a page at / that shows it.
//
//	gateway, err := sandbox.Start()
//	…
//	http.ListenAndServe("127.0.0.1:8420", control.New(gateway))
//
// The API is described at /_sandbox/openapi.json. /healthz and /readyz respond 200.
//
// # Safety
//
// Anybody who reaches the port may do everything with the sandbox: serve it on a loopback address.
// The API and the page refuse requests of other sites' pages, and requests for other hosts than
// loopback and those of [WithHosts], so that no web page can reach them through a browser (DNS
// rebinding). Nothing changes by GET. What users wrote is shown as text.
package control

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/connectpsp/connectpsp-go/sandbox"
)

// Option configures [New]. A nil Option is not allowed.
type Option func(*handler)

// WithHosts allows more names in the Host header of requests for the API and the page, such as the
// name of a container. Loopback addresses and localhost are always allowed. A name has no port.
func WithHosts(names ...string) Option {
	return func(h *handler) { h.hosts = append(h.hosts, names...) }
}

// handler serves the API and the page, and passes the rest to the gateway.
type handler struct {
	gateway   *sandbox.Sandbox
	hosts     []string
	own       []resource   // the API and the page
	protected http.Handler // own, for requests of this site
}

// New returns a handler that serves gateway with its API and its page. It is safe for concurrent
// use. The gateway is not closed.
func New(gateway *sandbox.Sandbox, options ...Option) http.Handler {
	h := &handler{gateway: gateway}
	for _, option := range options {
		option(h)
	}
	h.own = h.resources()
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		respond(w, http.StatusForbidden, problem{"pages of other sites are refused: call the API from a program, or use the page of the sandbox"})
	}))
	h.protected = protection.Handler(http.HandlerFunc(h.serveOwn))
	return h
}

// ServeHTTP serves the API and the page to this machine only.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path != "/" && path != "/healthz" && path != "/readyz" && !strings.HasPrefix(path, "/_sandbox/") {
		h.gateway.ServeHTTP(w, r)
		return
	}
	header := w.Header()
	header.Set("Date", h.gateway.Now().Format(http.TimeFormat))
	if !h.allows(r.Host) {
		respond(w, http.StatusForbidden, problem{"this host name is not allowed: use 127.0.0.1 or localhost, or allow the name"})
		return
	}
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	h.protected.ServeHTTP(w, r)
}

// allows reports whether a request for a host is served. A host is a name or an address, with or
// without a port.
func (h *handler) allows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(strings.ToLower(host), "[]")
	if address, err := netip.ParseAddr(host); err == nil && address.IsLoopback() {
		return true
	}
	return host == "localhost" || slices.ContainsFunc(h.hosts, func(name string) bool { return strings.EqualFold(name, host) })
}
