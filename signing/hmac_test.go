package signing_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/signing"
)

func requireHMAC(t *testing.T, key string, message []byte) {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(message)
	require.Equal(t, mac.Sum(nil), signing.Sum(key, message))
}

func TestSumIsHMACAtEveryLength(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 160)
	for n := range 200 {
		requireHMAC(t, string(long[:n]), long[:100])
	}
	for n := range long {
		requireHMAC(t, "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11", long[:n])
	}
}

func FuzzSum(f *testing.F) {
	f.Add("", []byte(nil))
	f.Add("key", []byte("The quick brown fox jumps over the lazy dog"))
	f.Add(string(make([]byte, 65)), make([]byte, 1089))
	f.Fuzz(requireHMAC)
}
