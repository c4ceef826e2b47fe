package bench

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

func TestPaymentsAreAsLargeAsTheDocumentationSays(t *testing.T) {
	cashOut, err := json.Marshal(caller.CashOutRequest("withdrawal-1-100000001"))
	require.NoError(t, err)
	cashIn, err := json.Marshal(caller.CashInRequest("withdrawal-1-100000001"))
	require.NoError(t, err)
	assert.InDelta(t, 300, len(cashOut), 20)
	assert.InDelta(t, len(cashOut), len(cashIn), 20)

	assert.InDelta(t, 700, len(gateway.CashOutResponse), 50)
	assert.InDelta(t, len(gateway.CashOutResponse), len(gateway.CashInResponse), 10)
	assert.InDelta(t, 3072, len(gateway.QRResponse)-len(gateway.CashInResponse), 0)
	assert.InDelta(t, len(gateway.QRResponse), len(mercadoPagoResponse), 100)
	assert.InDelta(t, 800, len(event), 50)
	for _, body := range [][]byte{event, mercadoPagoResponse, gateway.CashOutResponse, gateway.CashInResponse, gateway.QRResponse} {
		assert.True(t, json.Valid(body))
	}
}
