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

	assert.InDelta(t, 700, len(gateway.CashOutAnswer), 50)
	assert.InDelta(t, len(gateway.CashOutAnswer), len(gateway.CashInAnswer), 10)
	assert.InDelta(t, 3072, len(gateway.QRAnswer)-len(gateway.CashInAnswer), 0)
	assert.InDelta(t, len(gateway.QRAnswer), len(mercadoPagoAnswer), 100)
	assert.InDelta(t, 800, len(event), 50)
	for _, answer := range [][]byte{event, mercadoPagoAnswer, gateway.CashOutAnswer, gateway.CashInAnswer, gateway.QRAnswer} {
		assert.True(t, json.Valid(answer))
	}
}
