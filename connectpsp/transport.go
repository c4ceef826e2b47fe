package connectpsp

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const dialTimeout = 10 * time.Second

// NewTransport returns a new transport with the settings that a client has by default. Change it or
// wrap it, for tracing, a certificate authority of your own or a client certificate, and give it to
// the client:
//
//	transport := connectpsp.NewTransport()
//	transport.TLSClientConfig.RootCAs = authorities
//	client, err := connectpsp.New(config, connectpsp.WithHTTPClient(&http.Client{Transport: transport}))
//
// It is made for many concurrent calls to one host: connections stay for the next burst, where
// [http.DefaultTransport] keeps two for each host. It opens as many as there are calls at a time;
// set MaxConnsPerHost for a bound. Use it for one client, or several of the same gateway.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    4096,
		IdleConnTimeout:        30 * time.Second, // a connection that the other side closed first costs a retry
		MaxResponseHeaderBytes: 64 << 10,
		// All calls share a connection of HTTP/2. If that dies without a word, all of them time
		// out.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// newHTTPClient returns a copy of given, or a new client if given is nil, that never follows a
// redirect: net/http would carry ApplicationToken and DigitalSignature, and after a 307 the body
// too, to whatever host the redirect names (shouldCopyHeaderOnRedirect and redirectBehavior in
// net/http/client.go).
func newHTTPClient(given *http.Client) *http.Client {
	var client http.Client
	if given != nil {
		client = *given
	}
	if client.Transport == nil {
		client.Transport = NewTransport()
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}
