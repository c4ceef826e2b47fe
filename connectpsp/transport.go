package connectpsp

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// newHTTPClient returns a copy of given, or a new client if given is nil, that never follows a redirect: net/http would
// carry ApplicationToken and DigitalSignature, and after a 307 the body too, to whatever host the redirect names.
func newHTTPClient(given *http.Client) *http.Client {
	var client http.Client
	if given != nil {
		client = *given
	}
	if client.Transport == nil {
		client.Transport = newTransport()
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// newTransport returns a transport for many concurrent calls to one host. http.DefaultTransport keeps two idle connections
// per host and opens new ones under any burst.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        30 * time.Second, // a connection that the other side closed first costs a retry
		MaxResponseHeaderBytes: 64 << 10,
	}
}
