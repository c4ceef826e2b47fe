package connectpsp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// newServerTLS makes a certificate for loopback. That of package httptest has an RSA key, which
// makes handshakes slow.
var newServerTLS = sync.OnceValue(func() *tls.Config {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
})

// attemptCounter is a log that counts, for each order, the attempts that may have been sent.
type attemptCounter struct {
	mu       sync.Mutex
	attempts map[string]int
}

func (a *attemptCounter) Enabled(context.Context, slog.Level) bool { return true }
func (a *attemptCounter) WithAttrs([]slog.Attr) slog.Handler       { return a }
func (a *attemptCounter) WithGroup(string) slog.Handler            { return a }

func (a *attemptCounter) Handle(_ context.Context, record slog.Record) error {
	var order, outcome string
	record.Attrs(func(attribute slog.Attr) bool {
		switch attribute.Key {
		case "external_reference":
			order, _, _ = strings.Cut(attribute.Value.String(), "/")
		case "outcome":
			outcome = attribute.Value.String()
		}
		return true
	})
	if outcome == "not_sent" {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.attempts == nil {
		a.attempts = map[string]int{}
	}
	a.attempts[order]++
	return nil
}

func (a *attemptCounter) of(order string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attempts[order]
}
