// Package signing makes the signatures of the ConnectPSP API: HMAC-SHA256 with the CryptoToken as
// key, in hexadecimal.
//
// A request that moves money out carries the signature of its access token. For the access token
// header.payload.signature and the CryptoToken b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11 its headers are
//
//	Authorization: Bearer header.payload.signature
//	DigitalSignature: 7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9
//
// A webhook carries the signature of its raw body in X-Connect-Signature, see package webhook.
//
// Package [connectpsp] does this by itself. [Editor] does it for the raw client of package [gen].
//
// [connectpsp]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/connectpsp
// [gen]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/gen
package signing

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
)

// Header is the header that carries the signature of a request. POST /cash-out, POST
// /account/rebalance and POST /cash-in/{id}/refund need it.
const Header = "DigitalSignature"

// canonicalHeader is Header as [http.Header] has it. Set would allocate it for every request.
var canonicalHeader = http.CanonicalHeaderKey(Header)

// ErrNoKey is returned if the CryptoToken is empty.
var ErrNoKey = errors.New("signing: the crypto token is not set")

// ErrNoToken is returned for a request without a bearer token in Authorization. The signature
// covers that token.
var ErrNoToken = errors.New("signing: the request has no bearer token; the editor that sets it must come first")

// Sum returns the HMAC-SHA256 of message. The key is the text of the CryptoToken, not the bytes
// that the text may encode.
func Sum(cryptoToken string, message []byte) []byte {
	mac := hmac.New(sha256.New, []byte(cryptoToken))
	mac.Write(message)
	return mac.Sum(nil)
}

// Sign returns the DigitalSignature of an access token: [Sum] in lower-case hexadecimal.
func Sign(cryptoToken, accessToken string) string {
	return hex.EncodeToString(Sum(cryptoToken, []byte(accessToken)))
}

// Editor returns a request editor that signs the token in the request's Authorization header, so
// that no request can carry one token and the signature of another. Put it after the editor that
// sets the token. The signature does not cover the body.
//
// CryptoToken is the text of the CryptoToken; for an auth.Secret that is the result of its Reveal
// method. No output of the editor contains it.
//
// The editor fails with [ErrNoKey] if cryptoToken is empty, and with [ErrNoToken] if the request
// has no token. Goroutines may share it. It caches the last signature, so each token is signed
// once.
func Editor(cryptoToken string) func(context.Context, *http.Request) error {
	type signed struct{ token, signature string }
	var last atomic.Pointer[signed]
	return func(_ context.Context, request *http.Request) error {
		if cryptoToken == "" {
			return ErrNoKey
		}
		token, found := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
		if !found || token == "" {
			return ErrNoToken
		}
		pair := last.Load()
		if pair == nil || pair.token != token {
			pair = &signed{token: token, signature: Sign(cryptoToken, token)}
			last.Store(pair)
		}
		request.Header[canonicalHeader] = []string{pair.signature}
		return nil
	}
}
