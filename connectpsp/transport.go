package connectpsp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/redact"
)

const dialTimeout = 10 * time.Second

// newHTTPClient returns a copy of given, or a new client if given is nil, that never follows a
// redirect: net/http would carry ApplicationToken and DigitalSignature, and after a 307 the body
// too, to whatever host the redirect names.
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

// senderOf returns what sends requests for client, which came from newHTTPClient. That is its
// transport, unless it has something to add: for redirects that nobody follows, http.Client copies
// all headers of every request.
func senderOf(client *http.Client) gen.HttpRequestDoer {
	if client.Jar != nil || client.Timeout != 0 {
		return client
	}
	return once{client.Transport}
}

// once sends a request through a transport, as http.Client does with one that is not redirected.
type once struct{ transport http.RoundTripper }

func (o once) Do(request *http.Request) (*http.Response, error) {
	response, err := o.transport.RoundTrip(request)
	if err == nil && response == nil {
		err = redact.Text(fmt.Sprintf("the transport (%T) gave neither an answer nor an error", o.transport))
	}
	if err != nil {
		var notTLS tls.RecordHeaderError
		if errors.As(err, &notTLS) && string(notTLS.RecordHeader[:]) == "HTTP/" {
			err = http.ErrSchemeMismatch
		}
		operation := request.Method[:1] + strings.ToLower(request.Method[1:])
		return nil, &url.Error{Op: operation, URL: request.URL.Redacted(), Err: err}
	}
	if response.Body == nil {
		response.Body = http.NoBody
	}
	return response, nil
}

// newTransport returns a transport for many concurrent calls to one host. http.DefaultTransport
// keeps two idle connections per host and opens new ones under any burst.
func newTransport() http.RoundTripper {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	pool := &pool{dial: dialer.DialContext}
	pool.transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            pool.dialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           4096, // what a burst has opened, the next one uses
		MaxIdleConnsPerHost:    4096,
		IdleConnTimeout:        30 * time.Second, // a connection that the other side closed first costs a retry
		MaxResponseHeaderBytes: 64 << 10,
		// All calls share a connection of HTTP/2. One that died in silence would make every one of
		// them time out.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
	return pool
}
