// Package redact takes out of the errors of a connection what the other side may have put into them.
//
// Package net/http quotes what it cannot read: a status line, a header, a trailer, the address of a proxy with its password.
// Behind POST /auth/token that may be an access token, behind any other request the name and the document of a person. So
// this package keeps what it knows to be safe, and drops all else, instead of looking for what is dangerous.
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

// Text is an error in words of the SDK's own. They are safe: Error keeps them.
type Text string

// Error returns the text.
func (t Text) Error() string { return string(t) }

// Error returns the like of err, nil for nil, that says how a request failed without a word of the other side: not in its
// own text, and not in that of an error in its chain, however it is printed. The kind of the failure stays (a time-out, a
// refused connection, a certificate that is not trusted), and so do addresses and URLs without user and query. Of a
// failure that it does not know, the type stays.
//
// The result matches, through errors.Is, what err matches. Errors.As finds a [*url.Error], [*net.OpError], [*net.DNSError],
// [*tls.CertificateVerificationError] or error of package x509 of the same kind, with what is safe in it, and whether it
// was a time-out as a [net.Error]. It finds no other type.
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

// failure is a safe error that matches what the one in its place matched. That one is out of reach behind a func: neither
// fmt nor a dumper that reflects can look into it.
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

// phrases begin errors that packages of the standard library make without a type. The other side may have chosen the rest.
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

// isSafe reports whether an error is redacted, or its text constant or the name of a number.
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
	// A syscall.Errno, an alert of TLS, an error code of HTTP/2: a number has no room for a text of the other side.
	return reflect.ValueOf(err).CanUint()
}

// clean rebuilds an error of what is safe in it. Known is false if that is the type alone.
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
		return tls.RecordHeaderError{Msg: e.Msg}, true // without the bytes that came
	case x509.UnknownAuthorityError:
		return x509.UnknownAuthorityError{}, true // without the certificate, which may hold anything
	case x509.CertificateInvalidError:
		if e.Reason != x509.Expired { // where it tells two times
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
	return inside, false // of which the type says more
}

// inner is clean for the error inside of one that is known.
func inner(err error) error {
	safe, _ := clean(err)
	return safe
}

// word returns what is known of an error by its text alone.
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
	// A proxy that refuses to connect is known by the words of its status.
	for status := http.StatusBadRequest; status < 600; status++ {
		if text != "" && text == http.StatusText(status) {
			return Text(text), true
		}
	}
	return nil, false
}

// address returns a URL without user, query and fragment, where a proxy's password and more may be.
func address(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		return "[redacted]"
	}
	return (&url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path}).String()
}

// numeric returns an address if it is made of numbers, and nil for any other.
func numeric(address net.Addr) net.Addr {
	switch address.(type) {
	case *net.TCPAddr, *net.UDPAddr, *net.IPAddr:
		return address
	default:
		return nil
	}
}

// reason returns why a name was not found, in words of package net.
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
