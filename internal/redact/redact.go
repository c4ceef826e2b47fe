// Package redact removes from the errors of a transport all text that a peer may have chosen.
//
// Package net/http quotes the input that it fails to parse: a status line, a header, a trailer, a
// proxy's address with its password. In the response to POST /auth/token that may be an access
// token, in any other a person's name and document. The package works by an allow-list: it keeps
// the text that it knows to be safe and drops the rest.
package redact

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
)

// Text is an error with a safe text, such as one of the SDK's own. [Error] keeps it.
type Text string

// Error returns the text.
func (t Text) Error() string { return string(t) }

// Error returns an error that describes the same failure as err, and contains no text that a peer
// may have chosen: neither its own text nor any cause in its chain does, under any verb of fmt. It
// keeps the kind of the failure (timeout, connection refused, untrusted certificate), addresses,
// and URLs without user and query. Of a failure of unknown kind it keeps the Go type. It returns
// nil for nil.
//
// errors.Is matches the result as it matches err. errors.As finds a [net.Error] and redacted copies
// of [*url.Error], [*net.OpError], [*net.DNSError], [*tls.CertificateVerificationError],
// [x509.UnknownAuthorityError] and [x509.CertificateInvalidError]; it finds no other types, because
// their text may contain the peer's.
func Error(err error) error {
	if err == nil || isSafe(err) {
		return err
	}
	safe, _ := clean(err)
	var network net.Error
	f := &failure{error: safe, is: func(target error) bool { return errors.Is(err, target) }}
	if errors.As(err, &network) {
		f.timeout = network.Timeout()
	}
	return f
}

// failure is a redacted error. The original stays reachable for errors.Is only, through a func:
// neither fmt nor a dumper that uses reflection can look into that.
type failure struct {
	error
	is      func(target error) bool
	timeout bool
}

func (f *failure) Unwrap() error { return f.error }

func (f *failure) Is(target error) bool { return f.is(target) }

// Timeout and Temporary make it a net.Error.
func (f *failure) Timeout() bool { return f.timeout }

func (f *failure) Temporary() bool { return f.timeout }

// sentinels are errors whose texts are constant.
var sentinels = []error{
	context.DeadlineExceeded, context.Canceled, os.ErrDeadlineExceeded,
	io.ErrUnexpectedEOF, io.EOF, io.ErrClosedPipe, io.ErrNoProgress, net.ErrClosed,
	http.ErrSchemeMismatch, http.ErrBodyReadAfterClose, http.ErrLineTooLong, http.ErrSkipAltProtocol,
	gzip.ErrHeader, gzip.ErrChecksum,
}

// phrases are the beginnings of errors that the standard library makes of a text. The rest of such
// an error may be the peer's text.
var phrases = []string{
	"malformed HTTP", "malformed MIME header", "malformed chunked encoding", "invalid byte in chunk length",
	"http chunk length too large", "chunked line ends with bare LF", "chunked encoding contains too much non-data",
	"http: unexpected EOF reading trailer", "http: suspiciously long trailer after chunked body",
	"http: message cannot contain multiple Content-Length headers", "bad Content-Length", "unsupported transfer encoding",
	"http: server closed idle connection", "net/http: server response headers exceeded", "failed to parse Location header",
	"net/http: TLS handshake timeout", "net/http: timeout awaiting response headers", "net/http: request canceled",
	"net/http: invalid header", "invalid proxy address", "username/password authentication failed",
	"http2: server sent GOAWAY", "http2: client connection lost", "http2: timeout awaiting response headers", "stream error",
	"tls:", "x509:",
}

// isSafe reports whether an error is redacted already, has a constant text, or names a number.
func isSafe(err error) bool {
	switch err.(type) {
	case *failure, Text, flate.CorruptInputError:
		return true
	}
	for _, sentinel := range sentinels {
		if err == sentinel {
			return true
		}
	}
	// A syscall.Errno, a TLS alert, an HTTP/2 error code: a number has no room for the peer's text.
	return reflect.ValueOf(err).CanUint()
}

// clean rebuilds an error from its safe parts. It reports known as false if only the type is safe.
func clean(err error) (safe error, known bool) {
	if err == nil {
		return Text("[redacted]"), false
	}
	if isSafe(err) {
		return err, true
	}
	switch e := err.(type) {
	case *url.Error:
		return &url.Error{Op: e.Op, URL: address(e.URL), Err: inner(e.Err)}, true
	case *net.OpError:
		return &net.OpError{Op: e.Op, Net: e.Net, Source: numeric(e.Source), Addr: numeric(e.Addr), Err: inner(e.Err)}, true
	case *net.DNSError:
		return &net.DNSError{Err: reason(e), Name: e.Name, IsTimeout: e.IsTimeout, IsTemporary: e.IsTemporary, IsNotFound: e.IsNotFound}, true
	case *os.SyscallError:
		return &os.SyscallError{Syscall: e.Syscall, Err: inner(e.Err)}, true
	case *tls.CertificateVerificationError:
		return &tls.CertificateVerificationError{Err: inner(e.Err)}, true
	case tls.RecordHeaderError:
		return tls.RecordHeaderError{Msg: e.Msg}, true // without the peer's bytes
	case x509.UnknownAuthorityError:
		return x509.UnknownAuthorityError{}, true // without the peer's certificate
	case x509.CertificateInvalidError:
		if e.Reason != x509.Expired { // whose detail is two times
			e.Detail = ""
		}
		return x509.CertificateInvalidError{Reason: e.Reason, Detail: e.Detail}, true
	case x509.HostnameError:
		return Text("x509: the certificate is not for " + e.Host), true
	case interface{ Unwrap() error }:
		safe, known = clean(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			if safe, known = clean(cause); known {
				break
			}
		}
	}
	if known {
		return safe, true
	}
	inside := safe
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return sentinel, true
		}
	}
	if safe, known = word(err); known {
		return safe, true
	}
	if kind := fmt.Sprintf("%T", err); inside == nil || !strings.HasPrefix(kind, "*fmt.") && !strings.HasPrefix(kind, "*errors.") {
		return Text("[redacted " + kind + "]"), false
	}
	return inside, false // its type says more than the type of a wrapper
}

// inner redacts the cause of an error whose own kind is known.
func inner(err error) error {
	safe, _ := clean(err)
	return safe
}

// word recognises an error by its text.
func word(err error) (safe error, known bool) {
	text := err.Error()
	if text == os.ErrDeadlineExceeded.Error() {
		return os.ErrDeadlineExceeded, true
	}
	for _, phrase := range phrases {
		if rest, found := strings.CutPrefix(text, phrase); found && rest != "" {
			return Text(phrase + " [redacted]"), true
		} else if found {
			return Text(phrase), true
		}
	}
	// net/http makes an error of the status text with which a proxy refuses to connect.
	for status := http.StatusBadRequest; status < 600; status++ {
		if text != "" && text == http.StatusText(status) {
			return Text(text), true
		}
	}
	return nil, false
}

// address returns a URL without user, query and fragment: they may contain a proxy's password.
func address(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		return "[redacted]"
	}
	return (&url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path}).String()
}

// numeric returns the address if it consists of numbers, else nil.
func numeric(address net.Addr) net.Addr {
	switch address.(type) {
	case *net.TCPAddr, *net.UDPAddr, *net.IPAddr:
		return address
	default:
		return nil
	}
}

// reason returns the cause of a failed lookup, in the words of package net.
func reason(e *net.DNSError) string {
	switch {
	case e.IsNotFound:
		return "no such host"
	case e.IsTimeout:
		return "i/o timeout"
	case e.IsTemporary:
		return "server misbehaving"
	default:
		return "[redacted]"
	}
}
