package connectpsp_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Responses are read into buffers that are used again.
func TestAReadResponseDoesNotChangeWhenTheNextOneIsRead(t *testing.T) {
	statuses := map[string]int{"/cash-in/one": 200, "/cash-in/two": 200, "/cash-in/none": 422, "/cash-in/void": 422}
	answers := map[string]string{
		"/cash-in/one":  `{"transactionId":"one","status":"PAID","payer":{"name":"João"},"pixData":{"copyAndPaste":"` + strings.Repeat("1", 100) + `"}}`,
		"/cash-in/two":  `{"transactionId":"two","status":"PAID","payer":{"name":"Lúcia"},"pixData":{"copyAndPaste":"` + strings.Repeat("2", 100) + `"}}`,
		"/cash-in/none": `{"code":"NOT_FOUND","title":"Nothing","detail":"There is no such charge.","status":422}`,
		"/cash-in/void": `{"code":"GONE_AWAY","title":"Another","detail":"Something else entirely","status":422}`,
	}
	client := newClient(t, "https://api.connectpsp.com", connectpsp.WithTokenSource(fixedToken("a.b.c")),
		connectpsp.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return answerOf(statuses[r.URL.Path], answers[r.URL.Path]), nil
		})}))

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
	assert.Equal(t, answers["/cash-in/one"], string(raw.Body))
	assert.Equal(t, "one", one.TransactionID)
	assert.Equal(t, "João", one.Payer.Name)
	assert.Equal(t, strings.Repeat("1", 100), one.PIXData.CopyAndPaste)
	assert.Equal(t, connectpsp.ErrorCode("NOT_FOUND"), refusal.Code)
	assert.Equal(t, "There is no such charge.", refusal.Detail)
}

func TestTheCallersCookieJarIsKept(t *testing.T) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	var cookies []string
	client := newClient(t, "https://api.connectpsp.com", connectpsp.WithTokenSource(fixedToken("a.b.c")),
		connectpsp.WithHTTPClient(&http.Client{Jar: jar, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			cookies = append(cookies, r.Header.Get("Cookie"))
			response := answerOf(200, `{"transactionId":"one","status":"PAID"}`)
			response.Header.Set("Set-Cookie", "lb=7")
			return response, nil
		})}))
	for range 2 {
		_, err := client.GetCashIn(t.Context(), "one")
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"", "lb=7"}, cookies)
}

func TestATransportWithoutAResponseLeavesTheOutcomeUnknown(t *testing.T) {
	for name, answer := range map[string]*http.Response{"no response": nil, "no body": {StatusCode: 201, Header: http.Header{}}} {
		client := newClient(t, "https://api.connectpsp.com", connectpsp.WithTokenSource(fixedToken("a.b.c")),
			connectpsp.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				_, err := io.Copy(io.Discard, r.Body)
				return answer, err
			})}))
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.ErrorIs(t, err, connectpsp.ErrUnknownOutcome, name)
	}
}

func TestTheErrorSaysThatTheGatewayDoesNotUseTLS(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client := newClient(t, "https"+strings.TrimPrefix(server.URL, "http"), connectpsp.WithTokenSource(fixedToken("a.b.c")))
	_, err := client.GetCashIn(t.Context(), "one")
	require.ErrorIs(t, err, http.ErrSchemeMismatch)
	var failure *url.Error
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, "Get", failure.Op)
	assert.Equal(t, "https"+strings.TrimPrefix(server.URL, "http")+"/cash-in/one", failure.URL)
}
