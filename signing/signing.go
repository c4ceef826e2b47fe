// Package signing makes the signatures of the ConnectPSP API: HMAC-SHA256 with the CryptoToken as
// key.
//
// Requests that move money out carry one over the access token (DigitalSignature), webhooks carry
// one over their raw body (X-Connect-Signature, see package webhook).
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

// Header is the header that carries the signature of a request. It is needed on POST /cash-out,
// POST /account/rebalance and POST /cash-in/{id}/refund.
const Header = "DigitalSignature"

// canonicalHeader is Header as [http.Header] holds it. Set would make it anew for every request.
var canonicalHeader = http.CanonicalHeaderKey(Header)

// ErrNoKey is returned when there is no CryptoToken to sign with.
var ErrNoKey = errors.New("signing: the crypto token is not set")

// ErrNoToken is returned for a request without a bearer token in Authorization: there is nothing to
// sign yet.
var ErrNoToken = errors.New("signing: the request has no bearer token; the editor that sets it must come first")

// Sum returns the HMAC-SHA256 of message under the CryptoToken's bytes as text.
func Sum(cryptoToken string, message []byte) []byte {
	mac := hmac.New(sha256.New, []byte(cryptoToken))
	mac.Write(message)
	return mac.Sum(nil)
}

// Sign returns the DigitalSignature of an access token: Sum in lower-case hexadecimal.
func Sign(cryptoToken, accessToken string) string {
	return hex.EncodeToString(Sum(cryptoToken, []byte(accessToken)))
}

// Editor returns a request editor that signs the token it finds in the request's Authorization
// header, so that no request can carry one token and the signature of another. It must come after
// the editor that sets the token. The body is not part of the signature.
//
// It takes the text of the CryptoToken: with an auth.Secret, what its Reveal returns. The editor
// shows it to nobody.
//
// It returns ErrNoKey if cryptoToken is empty and ErrNoToken if the request has no token. The
// editor may be shared by goroutines. It remembers the last signature, so signing costs something
// once per token only.
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
