package main

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// observing is a transport that records members and headers of responses that the description does
// not declare.
type observing struct {
	base     http.RoundTripper
	checker  *contract.Checker
	findings *findings
	out      *redactingWriter
}

// ordinary are headers that say nothing about this API.
var ordinary = []string{
	"Age", "Alt-Svc", "Cache-Control", "Cf-Cache-Status", "Cf-Ray", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date",
	"Etag", "Expires", "Keep-Alive", "Pragma", "Referrer-Policy", "Server", "Set-Cookie", "Strict-Transport-Security", "Transfer-Encoding",
	"Vary", "Via", "X-Content-Type-Options", "X-Frame-Options", "X-Powered-By", "X-Xss-Protection",
}

func (o observing) RoundTrip(request *http.Request) (*http.Response, error) {
	token, _ := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	o.out.hide(append(strings.Split(token, "."), token, request.Header.Get("DigitalSignature"))...)
	response, err := o.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	if silence := o.checker.Silences(request, response.StatusCode, response.Header, body); silence != nil {
		o.findings.silence(silence)
	}
	for name := range response.Header {
		own := !slices.Contains(ordinary, name) && !strings.HasPrefix(name, "Access-Control-")
		if own && !o.checker.Declares(request, response.StatusCode, name) {
			o.findings.header(name)
		}
	}
	return response, nil
}
