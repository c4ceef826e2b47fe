package connectpsp_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Answers are read into memory that is used again.
func TestWhatAnAnswerGaveDoesNotChangeWithTheNextAnswer(t *testing.T) {
	answers := map[string]*mirror{
		"/cash-in/one":  newMirror(200, `{"transactionId":"one","status":"PAID","payer":{"name":"João"},"pixData":{"copyAndPaste":"`+strings.Repeat("1", 100)+`"}}`),
		"/cash-in/two":  newMirror(200, `{"transactionId":"two","status":"PAID","payer":{"name":"Lúcia"},"pixData":{"copyAndPaste":"`+strings.Repeat("2", 100)+`"}}`),
		"/cash-in/none": newMirror(422, `{"code":"NOT_FOUND","title":"Nothing","detail":"There is no such charge.","status":422}`),
		"/cash-in/void": newMirror(422, `{"code":"XXX_XXXXX","title":"XXXXXXX","detail":"XXXXXXXXXXXXXXXXXXXXXXX","status":422}`),
	}
	client := mirrored(t, roundTripper(func(r *http.Request) (*http.Response, error) { return answers[r.URL.Path].RoundTrip(r) }))

	var raw connectpsp.RawResponse
	one, err := client.GetCashIn(t.Context(), "one", connectpsp.WithRawResponse(&raw))
	require.NoError(t, err)
	_, err = client.GetCashIn(t.Context(), "none")
	var refusal *connectpsp.APIError
	require.ErrorAs(t, err, &refusal)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := client.GetCashIn(t.Context(), "two")
			assert.NoError(t, err)
			_, err = client.GetCashIn(t.Context(), "void")
			assert.Error(t, err)
		})
	}
	all.Wait()
	assert.Equal(t, answers["/cash-in/one"].answer, raw.Body)
	assert.Equal(t, "one", one.TransactionID)
	assert.Equal(t, "João", one.Payer.Name)
	assert.Equal(t, strings.Repeat("1", 100), one.PIXData.CopyAndPaste)
	assert.Equal(t, connectpsp.ErrorCode("NOT_FOUND"), refusal.Code)
	assert.Equal(t, "There is no such charge.", refusal.Detail)
}
