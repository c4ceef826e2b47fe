package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sandbox"
)

// description is one that does not change with what the provider publishes: the sandbox answers as
// it says.
const description = "../contract/testdata/description.yaml"

// the payee of these tests, whom no output may name.
const payeeName, payeeDocument, payeeKey = "Maria da Silva Canario", "12345678909", "maria.canario@example.com"

// alone takes all variables of the SDK out of the environment of the test.
func alone(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "CONNECTPSP_") {
			t.Setenv(name, value) // so that it is put back
			require.NoError(t, os.Unsetenv(name))
		}
	}
}

// against starts a sandbox whose answers are changed by deviate, points the environment to it, and
// runs the program.
func against(t *testing.T, deviate func(r *http.Request, answer *httptest.ResponseRecorder), arguments ...string) (int, string, error) {
	t.Helper()
	alone(t)
	gateway, err := sandbox.Start(sandbox.WithMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			if deviate != nil {
				deviate(r, answer)
			}
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.Header().Del("Content-Length")
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})
	}))
	require.NoError(t, err)
	t.Cleanup(func() { _ = gateway.Close() })
	config := gateway.Config()
	for name, value := range map[string]string{
		"CLIENT_ID": config.ClientID, "CLIENT_SECRET": config.ClientSecret.Reveal(), "APPLICATION_TOKEN": config.ApplicationToken.Reveal(),
		"CRYPTO_TOKEN": config.CryptoToken.Reveal(), "BASE_URL": config.BaseURL,
		"TEST_PAYEE_NAME": payeeName, "TEST_PAYEE_DOCUMENT": payeeDocument, "TEST_PAYEE_PIX_KEY_TYPE": "EMAIL", "TEST_PAYEE_PIX_KEY": payeeKey,
	} {
		t.Setenv("CONNECTPSP_"+name, value)
	}
	var out bytes.Buffer
	status, err := run(t.Context(), description, arguments, &out)
	printed := out.String()
	if err != nil {
		printed += err.Error()
	}
	for _, secret := range []string{
		config.ClientSecret.Reveal(), config.ApplicationToken.Reveal(), config.CryptoToken.Reveal(), "eyJ", payeeName, payeeDocument, payeeKey,
	} {
		assert.NotContains(t, printed, secret)
	}
	return status, out.String(), err
}
