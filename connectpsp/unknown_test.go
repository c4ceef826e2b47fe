package connectpsp_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestAnUnknownOutcomeSurvivesJSON(t *testing.T) {
	doubt := must2(asUnknown(second(newGateway(t, drop, retryAfter("1", problem(409, "DUPLICATE_EXTERNAL_REFERENCE"))).client().
		CreateCashOut(t.Context(), cashOutRequest()))))
	doubt.TransactionID = cashOutID
	read := queued(t, doubt)
	assert.True(t, doubt.FirstSentAt.Equal(read.FirstSentAt))
	assert.True(t, doubt.LastSentAt.Equal(read.LastSentAt))
	assert.Equal(t, doubt.Error(), read.Error())
	assert.Equal(t, doubt.Refusal.Error(), read.Refusal.Error())
	assert.ErrorIs(t, read, connectpsp.ErrUnknownOutcome)
	assert.ErrorIs(t, read, connectpsp.ErrorCode("DUPLICATE_EXTERNAL_REFERENCE"), "a conflict is found as before")
	assert.Equal(t, time.Second, read.RetryAfter)
	assert.Equal(t, read, queued(t, read))
	read.FirstSentAt, read.LastSentAt, read.Err, read.Refusal = doubt.FirstSentAt, doubt.LastSentAt, doubt.Err, doubt.Refusal
	assert.JSONEq(t, string(must(json.Marshal(doubt))), string(must(json.Marshal(read))), "nothing else is lost")

	plain := queued(t, &connectpsp.UnknownOutcomeError{Operation: "rebalanceAccount", Amount: pix.Centavos(1)})
	assert.Equal(t, (&connectpsp.UnknownOutcomeError{Operation: "rebalanceAccount"}).Error(), plain.Error())
	assert.Equal(t, pix.Centavos(1), plain.Amount)
	assert.True(t, plain.FirstSentAt.IsZero())
	assert.Error(t, json.Unmarshal([]byte(`{"attempts":"many"}`), plain))
}

func TestAnUnknownOutcomeAsJSONHoldsNoPersonalDataAndNoSecret(t *testing.T) {
	doubt := must2(asUnknown(second(newGateway(t, drop, echo(422, "application/problem+json")).client().CreateCashOut(t.Context(), cashOutRequest()))))
	require.NotNil(t, doubt.Refusal)
	for _, value := range []any{doubt, *doubt, map[string]any{"err": doubt}} {
		written := string(must(json.Marshal(value)))
		assert.Contains(t, written, `"externalReference":"withdrawal-42"`)
		for _, canary := range []string{"12345678909", "Maria", applicationToken, "header.payload"} {
			assert.NotContains(t, written, canary)
		}
	}
}

func FuzzReadAnUnknownOutcome(f *testing.F) {
	f.Add([]byte(`{"operation":"createCashOut","attempts":1,"refusal":{"statusCode":409,"conflict":true},"retryAfterSeconds":1e300}`))
	f.Add([]byte(`{"firstSentAt":"2026-03-10T14:00:00Z","amount":50.00,"cause":"x"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := new(connectpsp.UnknownOutcomeError)
		if json.Unmarshal(data, read) != nil {
			return
		}
		assert.ErrorIs(t, read, connectpsp.ErrUnknownOutcome)
		assert.NotEmpty(t, read.Error())
		if written, err := json.Marshal(read); err == nil {
			again := new(connectpsp.UnknownOutcomeError)
			require.NoError(t, json.Unmarshal(written, again))
			assert.Equal(t, read.IdempotencyKey, again.IdempotencyKey)
		}
	})
}
