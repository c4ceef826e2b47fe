package redact_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/redact"
)

// canary stands for text that a peer chose.
const canary = "eyJhbGciOi.canary"

// post returns an error of a request as net/http makes it.
func post(cause error) error {
	return &url.Error{Op: "Post", URL: "https://user:" + canary + "@gateway.test/cash-out?token=" + canary + "#" + canary, Err: cause}
}

// everyCause returns err and all that is reached from it by Unwrap.
func everyCause(err error) []error {
	causes := []error{err}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			causes = append(causes, everyCause(cause)...)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			causes = append(causes, everyCause(cause)...)
		}
	}
	return causes
}

type codedError struct{ Words string }

func (e codedError) Error() string { return e.Words }

func TestErrorKeepsTheKindOfAFailureAndNoTextOfThePeer(t *testing.T) {
	proxy := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 3128}
	stranger := &x509.Certificate{DNSNames: []string{canary}, Raw: []byte(canary)}
	const at = `Post "https://gateway.test/cash-out": `
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"status line":     {post(fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", fmt.Errorf("malformed HTTP response %q", canary))), at + "malformed HTTP [redacted]"},
		"header":          {post(textproto.ProtocolError("malformed MIME header line: " + canary)), at + "malformed MIME header [redacted]"},
		"trailer":         {textproto.ProtocolError("malformed MIME header: missing colon: " + canary), "malformed MIME header [redacted]"},
		"redirect":        {post(fmt.Errorf("failed to parse Location header %q: %v", canary, canary)), at + "failed to parse Location header [redacted]"},
		"GOAWAY":          {post(errors.New("http2: server sent GOAWAY and closed the connection; debug=" + canary)), at + "http2: server sent GOAWAY [redacted]"},
		"own proxy":       {post(fmt.Errorf("invalid proxy address %q: %v", canary, canary)), at + "invalid proxy address [redacted]"},
		"refused proxy":   {post(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Addr: proxy, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}), at + "proxyconnect tcp: dial tcp 192.0.2.1:3128: connect: connection refused"},
		"words of proxy":  {post(errors.New(canary)), at + "[redacted *errors.errorString]"},
		"status of proxy": {post(errors.New("Proxy Authentication Required")), at + "Proxy Authentication Required"},
		"proxy's URL":     {&url.Error{Op: "parse", URL: "http://user:" + canary + " @proxy:x", Err: errors.New(canary)}, `parse "[redacted]": [redacted *errors.errorString]`},
		"reset":           {post(&net.OpError{Op: "read", Net: "tcp", Addr: proxy, Err: syscall.ECONNRESET}), at + "read tcp 192.0.2.1:3128: connection reset by peer"},
		"socket":          {&net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: canary, Net: "unix"}, Err: syscall.ENOENT}, "dial unix: no such file or directory"},
		"end":             {post(io.EOF), at + "EOF"},
		"deadline":        {post(context.DeadlineExceeded), at + "context deadline exceeded"},
		"dial timeout":    {post(&net.OpError{Op: "dial", Net: "tcp", Addr: proxy, Err: os.ErrDeadlineExceeded}), at + "dial tcp 192.0.2.1:3128: i/o timeout"},
		"name":            {post(&net.DNSError{Err: canary, Name: "gateway.test", Server: canary, IsNotFound: true}), at + "lookup gateway.test: no such host"},
		"no TLS":          {post(http.ErrSchemeMismatch), at + "http: server gave HTTP response to HTTPS client"},
		"TLS record":      {post(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake", RecordHeader: [5]byte([]byte(canary))}), at + "tls: first record does not look like a TLS handshake"},
		"TLS alert":       {post(&net.OpError{Op: "remote error", Err: tls.AlertError(42)}), at + "remote error: tls: bad certificate"},
		"issuer":          {post(&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{stranger}, Err: x509.UnknownAuthorityError{Cert: stranger}}), at + "tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"other host":      {post(&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: stranger, Host: "gateway.test"}}), at + "tls: failed to verify certificate: x509: the certificate is not for gateway.test"},
		"expired":         {post(x509.CertificateInvalidError{Cert: stranger, Reason: x509.Expired, Detail: "current time 2 is after 1"}), at + "x509: certificate has expired or is not yet valid: current time 2 is after 1"},
		"wrong issuer":    {post(x509.CertificateInvalidError{Cert: stranger, Reason: x509.CANotAuthorizedForThisName, Detail: canary}), at + "x509: a root or intermediate certificate is not authorized to sign for this name: "},
		"own words":       {post(redact.Text("the transport gave no answer")), at + "the transport gave no answer"},
		"several":         {errors.Join(errors.New(canary), fmt.Errorf("%s: %w", canary, io.ErrUnexpectedEOF)), "unexpected EOF"},
		"another's type":  {codedError{canary}, "[redacted redact_test.codedError]"},
		"no cause":        {&url.Error{Op: "Get", URL: canary}, `Get "[redacted]": [redacted]`},
	} {
		t.Run(name, func(t *testing.T) {
			err := redact.Error(test.err)
			assert.EqualError(t, err, test.want)
			assert.ErrorIs(t, err, test.err)
			for _, cause := range everyCause(err) {
				for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
					assert.NotContains(t, fmt.Sprintf(verb, cause), canary)
					assert.NotContains(t, fmt.Sprintf(verb, cause), "0x65, 0x79", "bytes of the canary")
				}
				encoded, _ := json.Marshal(cause)
				assert.NotContains(t, string(encoded), canary)
			}
			assert.Same(t, err, redact.Error(err), "redacted twice")
		})
	}
}

func TestErrorStillTellsWhatHappened(t *testing.T) {
	own := errors.New("of the caller's own transport")
	refused := redact.Error(post(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}))
	require.ErrorIs(t, refused, syscall.ECONNREFUSED)
	var network *net.OpError
	require.ErrorAs(t, refused, &network)
	assert.Equal(t, "dial", network.Op)
	var request *url.Error
	require.ErrorAs(t, refused, &request)
	assert.Equal(t, "https://gateway.test/cash-out", request.URL)

	assert.ErrorIs(t, redact.Error(post(own)), own)
	var untrusted x509.UnknownAuthorityError
	assert.ErrorAs(t, redact.Error(post(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}})), &untrusted)
	var invalid x509.CertificateInvalidError
	require.ErrorAs(t, redact.Error(x509.CertificateInvalidError{Reason: x509.Expired}), &invalid)
	assert.Equal(t, x509.Expired, invalid.Reason)
	var quoted textproto.ProtocolError
	assert.False(t, errors.As(redact.Error(textproto.ProtocolError(canary)), &quoted), "a type whose text may be the peer's")
}

func TestErrorIsATimeOutIfItsCauseWasOne(t *testing.T) {
	for _, err := range []error{post(os.ErrDeadlineExceeded), post(context.DeadlineExceeded), &net.DNSError{IsTimeout: true}} {
		var network net.Error
		require.ErrorAs(t, redact.Error(err), &network)
		assert.True(t, network.Timeout())
	}
	var network net.Error
	require.ErrorAs(t, redact.Error(post(io.EOF)), &network)
	assert.False(t, network.Timeout())
}

func TestErrorLeavesWhatIsSafeAsItIs(t *testing.T) {
	for _, err := range []error{nil, io.ErrUnexpectedEOF, context.Canceled, syscall.EPIPE, redact.Text("own words")} {
		assert.Equal(t, err, redact.Error(err))
	}
}

// FuzzError: whatever text an error of an unknown type has, nothing of it comes out but a phrase of
// net/http's.
func FuzzError(f *testing.F) {
	for _, seed := range []string{"malformed HTTP response", "tls: handshake", "Bad Gateway", "", "EOF", "i/o timeout", "stream error: x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, words string) {
		text := redact.Error(errors.New(words + canary)).Error()
		assert.False(t, strings.Contains(text, canary), text)
	})
}
