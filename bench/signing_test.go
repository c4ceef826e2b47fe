package bench

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/connectpsp/connectpsp-go/signing"
)

// BenchmarkSigningEditor measures the signature of a request, which the SDK computes once for each
// token, beside one that is computed for each request.
func BenchmarkSigningEditor(b *testing.B) {
	const token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMDI0IiwibiI6MDAwMDAwMDB9.c2lnbmF0dXJl"
	request := &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mac := hmac.New(sha256.New, []byte(cryptoToken))
			mac.Write([]byte(strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")))
			request.Header.Set("DigitalSignature", hex.EncodeToString(mac.Sum(nil)))
		}
	})
	b.Run("connectpsp", func(b *testing.B) {
		edit := signing.Editor(cryptoToken)
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if err := edit(ctx, request); err != nil {
				b.Fatal(err)
			}
		}
	})
}
