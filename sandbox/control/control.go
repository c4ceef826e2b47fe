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
// The gateway, the API and the page refuse requests of other sites' pages, and requests for other
// hosts than IP addresses, localhost and those of [WithHosts], so that no web page can reach them
// through a browser (DNS rebinding needs a name). Nothing changes by GET. What users wrote is shown
// as text.
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

// WithHosts allows more names in the Host header of requests, such as the name of a container.
// IP addresses and localhost are always allowed. A name has no port.
func WithHosts(names ...string) Option {
	return func(h *handler) { h.hosts = append(h.hosts, names...) }
}

// handler serves the API and the page, and passes the rest to the gateway.
type handler struct {
	gateway *sandbox.Sandbox
	hosts   []string
	sites   *http.CrossOriginProtection
	own     []resource // the API and the page
	watcher watcher
}

// New returns a handler that serves gateway with its API and its page. It is safe for concurrent
// use. The gateway is not closed.
func New(gateway *sandbox.Sandbox, options ...Option) http.Handler {
	h := &handler{gateway: gateway, sites: http.NewCrossOriginProtection()}
	for _, option := range options {
		option(h)
	}
	h.own = h.resources()
	return h
}

// ServeHTTP serves this machine and the allowed hosts only.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	isOwn := isOwn(r.URL.Path)
	switch {
	case !h.allows(r.Host):
		h.forbid(w, isOwn, "HOST_NOT_ALLOWED", "this host name is not allowed: use an IP address or localhost, or allow the name")
	case h.sites.Check(r) != nil:
		h.forbid(w, isOwn, "ORIGIN_NOT_ALLOWED", "pages of other sites are refused: send the request from a program, or use the page of the sandbox")
	case isOwn:
		h.setHeader(w.Header())
		h.serveOwn(w, r)
	default:
		h.gateway.ServeHTTP(w, r)
	}
}

// isOwn reports whether a path is one of the API or of the page.
func isOwn(path string) bool {
	return path == "/" || path == "/healthz" || path == "/readyz" || strings.HasPrefix(path, "/_sandbox/")
}

// setHeader sets what every response of the API and the page has.
func (h *handler) setHeader(header http.Header) {
	header.Set("Date", h.gateway.Now().Format(http.TimeFormat))
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}

// forbid refuses a request in the form of the API, or in that of the gateway, whose clients show
// the code.
func (h *handler) forbid(w http.ResponseWriter, isOwn bool, code, text string) {
	h.setHeader(w.Header())
	if isOwn {
		respond(w, http.StatusForbidden, problem{text})
		return
	}
	respondAs(w, "application/problem+json", http.StatusForbidden, gatewayProblem{
		Type: "about:blank", Title: http.StatusText(http.StatusForbidden), Status: http.StatusForbidden, Code: code, Detail: text})
}

// gatewayProblem is a refusal in the form of the gateway's, see RFC 7807.
type gatewayProblem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// allows reports whether a request for a host is served. A host is a name or an address, with or
// without a port.
func (h *handler) allows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(strings.ToLower(host), "[]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || slices.ContainsFunc(h.hosts, func(name string) bool { return strings.EqualFold(name, host) })
}
