package contract

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFieldsOfOnlyTheResponseOrOnlyTheDescriptionAreListed(t *testing.T) {
	checker, _ := recording(t)
	answer := strings.Replace(cashIn, `"status"`, `"fee":1,"tags":["a"],"flag":true,"none":null,"word":"x","more":{"a":1},"status"`, 1)
	answer = strings.Replace(answer, `"name"`, `"nick":"n","name"`, 1)
	silence := checker.Silences(getting().request(), 200, header("Content-Type", "application/json; charset=utf-8"), []byte(answer))
	require.NotNil(t, silence)
	assert.Equal(t, "getCashIn", silence.Operation)
	assert.Equal(t, 200, silence.Status)
	assert.Equal(t, map[string]string{
		"/fee": "number", "/tags": "array", "/flag": "boolean", "/none": "null", "/word": "string", "/more": "object", "/payer/nick": "string",
	}, silence.Undeclared)
	assert.Contains(t, silence.Absent, "/paidAt")
	assert.Contains(t, silence.Absent, "/payer/bankData")
	assert.NotContains(t, silence.Absent, "/status")
}

func TestElementsOfListsAreComparedToo(t *testing.T) {
	checker, _ := recording(t)
	request := httptest.NewRequest(http.MethodGet, "/account/balance", nil)
	silence := checker.Silences(request, 200, header("Content-Type", jsonType), []byte(`{"banks":[{"ispb":"1","colour":"red"},{"bank":"b"}]}`))
	require.NotNil(t, silence)
	assert.Equal(t, map[string]string{"/banks/[]/colour": "string"}, silence.Undeclared)
	assert.Contains(t, silence.Absent, "/banks/[]/accounts")
}

func TestWhereNothingIsDeclaredNothingIsCompared(t *testing.T) {
	checker, _ := recording(t)
	for name, test := range map[string]struct {
		target, contentType, body string
		status                    int
	}{
		"another path":         {"/elsewhere", jsonType, "{}", 200},
		"another status":       {"/cash-in/t1", jsonType, "{}", 299},
		"another content type": {"/cash-in/t1", "text/html", "<html>", 200},
		"no content type":      {"/cash-in/t1", "", "{}", 200},
		"no JSON":              {"/cash-in/t1", jsonType, "{", 200},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, test.target, nil)
			assert.Nil(t, checker.Silences(request, test.status, header("Content-Type", test.contentType), []byte(test.body)))
		})
	}
}

func TestTheDefaultResponseIsComparedToo(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "description.yaml"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "description.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "'404':", "default:")), 0o600))
	checker, err := Open(file, nil)
	require.NoError(t, err)
	silence := checker.Silences(getting().request(), 404, header("Content-Type", "application/problem+json"), []byte(`{"traceId":"x"}`))
	require.NotNil(t, silence)
	assert.Equal(t, map[string]string{"/traceId": "string"}, silence.Undeclared)
	assert.Equal(t, 404, silence.Status)
}

func TestDeclaredHeadersOfAResponseAreNotListed(t *testing.T) {
	checker, _ := recording(t)
	request := getting().request()
	assert.False(t, checker.Declares(request, 200, "X-Request-Id"))
	assert.False(t, checker.Declares(request, 299, "X-Request-Id"))
	assert.False(t, checker.Declares(httptest.NewRequest(http.MethodGet, "/elsewhere", nil), 200, "X-Request-Id"))
}

func TestATransportChecksBothWaysAndChangesNothing(t *testing.T) {
	checker, found := recording(t)
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		w.Header().Set("Content-Type", jsonType)
		w.WriteHeader(201)
		_, _ = io.WriteString(w, cashIn)
	}))
	defer server.Close()
	client := &http.Client{Transport: checker.Transport(http.DefaultTransport)}
	send := func(body string) string {
		request, err := http.NewRequest(http.MethodPost, server.URL+"/cash-in", strings.NewReader(body))
		require.NoError(t, err)
		request.Header = creating().header
		answer, err := client.Do(request)
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return string(text)
	}
	assert.Equal(t, cashIn, send(request))
	assert.Equal(t, request, got)
	assert.Empty(t, found.all)
	send(`{"amount":1}`)
	assert.Contains(t, found.text(), "createCashIn request: ")
}

func TestATransportPassesOnErrorsOfTheNetwork(t *testing.T) {
	checker, found := recording(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "500")
		_, _ = io.WriteString(w, "{")
	}))
	client := &http.Client{Transport: checker.Transport(http.DefaultTransport)}
	get := func() (*http.Response, error) {
		request, err := http.NewRequest(http.MethodGet, server.URL+"/cash-in/t1", nil)
		require.NoError(t, err)
		request.Header = getting().header
		return client.Do(request)
	}
	answer, err := get()
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, "{", string(body))
	assert.Empty(t, found.all, "half an answer cannot be judged")
	server.Close()
	_, err = get()
	assert.Error(t, err)
}

func TestAnOpenedCheckerReportsToItsOwner(t *testing.T) {
	var found []error
	checker, err := Open("testdata/description.yaml", func(err error) { found = append(found, err) })
	require.NoError(t, err)
	checker.Webhook([]byte("x"))
	require.Len(t, found, 1)
	_, err = Open("testdata/nowhere.yaml", nil)
	assert.Error(t, err)
}

// A new value of a status is what one wants to know. A text that is no code may be anybody's.
func TestAnUnknownEnumValueIsReportedOnlyIfItIsACode(t *testing.T) {
	for value, told := range map[string]bool{"ON_HOLD": true, "Maria Silva": false, "12345678909": false} {
		checker, found := recording(t)
		e := getting()
		e.answer = strings.Replace(cashIn, "PAID", value, 1)
		checker.Middleware(e).ServeHTTP(httptest.NewRecorder(), e.request())
		require.NotEmpty(t, found.all)
		assert.Equal(t, told, strings.Contains(found.text(), value), value)
	}
}
