package connectpsp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
)

// echo answers with everything that it was sent, as a hostile or careless gateway might.
func echo(status int, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sent := fmt.Sprint(r.Header, " 12345678909 maria@example.com Maria Silva ")
		body, _ := json.Marshal(map[string]any{"type": sent, "title": sent, "status": status, "code": sent, "detail": sent, "transactionId": sent})
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Location", "https://elsewhere.example/?a="+applicationToken)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

// TestNoSecretAndNoPersonalDataInAnyErrorOrLog drives every operation into every kind of failure, with a logger at debug
// level, and looks for what must not be seen in all that comes out.
func TestNoSecretAndNoPersonalDataInAnyErrorOrLog(t *testing.T) {
	secrets := []string{clientSecret, applicationToken, cryptoToken, "header.payload", "payload-1",
		signing.Sign(cryptoToken, "header.payload-1.signature")}
	personal := []string{"12345678909", "529.982.247-25", "Maria", "Test User", "maria@example.com"}

	request := cashOutRequest()
	request.Payee.Destination = connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")
	wrong := request
	wrong.Payee.Document, wrong.Payee.Destination.PIXKey = "12345678900", "maria@example.com "
	calls := []func(*connectpsp.Client) error{
		func(c *connectpsp.Client) error { _, err := c.CreateCashOut(t.Context(), request); return err },
		func(c *connectpsp.Client) error { _, err := c.CreateCashOut(t.Context(), wrong); return err },
		func(c *connectpsp.Client) error { _, err := c.CreateCashIn(t.Context(), cashInRequest()); return err },
		func(c *connectpsp.Client) error { _, err := c.GetCashIn(t.Context(), cashInID); return err },
		func(c *connectpsp.Client) error {
			_, err := c.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
			return err
		},
		func(c *connectpsp.Client) error { _, err := c.GetBalance(t.Context()); return err },
		func(c *connectpsp.Client) error {
			_, err := c.RebalanceAccount(t.Context(), pix.Centavos(1))
			return err
		},
	}
	failures := []http.HandlerFunc{
		drop, cut(202, cashOutAccepted), html(502), redirect(307, "https://elsewhere.example/"+applicationToken),
		echo(200, "text/plain"), echo(400, "application/problem+json"), echo(401, "application/problem+json"),
		echo(409, "text/html"), echo(422, "application/problem+json"), echo(500, "application/problem+json"), echo(302, "text/html"),
	}
	for _, format := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler {
			return slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		func(b *bytes.Buffer) slog.Handler {
			return slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
	} {
		var out bytes.Buffer
		logger := slog.New(format(&out))
		for _, failure := range failures {
			client := newGateway(t, failure).client(connectpsp.WithLogger(logger))
			for _, call := range calls {
				err := call(client)
				for ; err != nil; err = errors.Unwrap(err) {
					logger.Error("call failed", "err", err, "client", client)
					fmt.Fprintf(&out, "%v %+v %s %q\n", err, err, err, err)
				}
				fmt.Fprintf(&out, "%v %+v %#v\n", client, client, client)
			}
		}
		intent := left(0)
		logger.Error("intent", "intent", intent, "pointer", &intent)
		fmt.Fprintf(&out, "%v %+v %#v %s %x %v %v", intent, intent, intent, intent, intent, &intent, []connectpsp.Intent{intent})

		cfg := config("")
		logger.Error("config", "cfg", cfg)
		fmt.Fprintf(&out, "%v %+v %#v %s %x %v", cfg, cfg, cfg, cfg.ClientSecret, cfg.CryptoToken, &cfg)
		encoded, err := json.Marshal(cfg)
		require.NoError(t, err)
		out.Write(encoded)

		for _, canary := range append(secrets, personal...) {
			assert.False(t, strings.Contains(out.String(), canary), "%q is in the output", canary)
		}
		assert.Contains(t, out.String(), "withdrawal-42")
		assert.Contains(t, out.String(), "[redacted]")
	}
}

func TestTheLogTellsEachAttempt(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	gateway := newGateway(t, html(503), replyJSON(202, cashOutAccepted))
	_, err := gateway.client(connectpsp.WithLogger(logger)).CreateCashOut(t.Context(), cashOutRequest())
	require.NoError(t, err)

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	for i, want := range []map[string]any{
		{"status": 503.0, "attempt": 1.0, "outcome": "doubtful"},
		{"status": 202.0, "attempt": 2.0, "outcome": "accepted"},
	} {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &line))
		for name, value := range want {
			assert.Equal(t, value, line[name])
		}
		assert.Equal(t, "DEBUG", line["level"])
		assert.Equal(t, "createCashOut", line["operation"])
		assert.Equal(t, "POST", line["method"])
		assert.Equal(t, "/cash-out", line["path"])
		assert.Equal(t, "withdrawal-42", line["externalReference"])
		assert.Equal(t, gateway.requests()[0].header.Get("X-Idempotency-Key"), line["idempotencyKey"])
		assert.Contains(t, line, "duration")
	}

	out.Reset()
	_, err = newGateway(t, replyJSON(200, cashInAccepted)).client(connectpsp.WithLogger(logger)).GetCashIn(t.Context(), cashInID)
	require.NoError(t, err)
	assert.Contains(t, out.String(), `"path":"/cash-in/`+cashInID+`"`)

	out.Reset()
	quiet := slog.New(slog.NewJSONHandler(&out, nil))
	_, err = newGateway(t, replyJSON(200, cashInAccepted)).client(connectpsp.WithLogger(quiet)).GetCashIn(t.Context(), cashInID)
	require.NoError(t, err)
	assert.Empty(t, out.String(), "attempts are for debug level only")
}
