package connectpsp

import (
	"crypto/tls"
	"net/http"
	"time"
)

// SetJitter makes a client draw its waits with jitter, so that a simulation can be repeated. Call
// it before anything else.
func SetJitter(c *Client, jitter func(bound time.Duration) time.Duration) { c.jitter = jitter }

// Trust makes the client's own transport trust a test server.
func Trust(client *Client, config *tls.Config) {
	client.raw.Client.(*http.Client).Transport.(*http.Transport).TLSClientConfig = config
}
