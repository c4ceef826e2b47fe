package main

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/signing"
)

func TestTheReceiverRefusesAForgedEvent(t *testing.T) {
	const token = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"
	const body = `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":"kk6g232xel65a0daee4dd13kk2912714964","amount":10.50}}`
	receiver, err := startReceiver(auth.NewSecret(token))
	require.NoError(t, err)
	defer receiver.close()
	for signer, status := range map[string]int{"of somebody else": http.StatusUnauthorized, token: http.StatusOK} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, receiver.url, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(signer, []byte(body))))
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, status, answer.StatusCode)
	}
	assert.Len(t, receiver.events, 1)
}
