package connectpspotel_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// exported returns all spans and metrics, in each form that may reach an exporter.
func (tel *telemetry) exported(t *testing.T) string {
	t.Helper()
	var collected metricdata.ResourceMetrics
	require.NoError(t, tel.metrics.Collect(t.Context(), &collected))
	var text bytes.Buffer
	for _, span := range tel.spans.GetSpans() {
		encoded, err := json.Marshal(span)
		require.NoError(t, err)
		fmt.Fprintf(&text, "%s\n%+v\n", encoded, span)
	}
	encoded, err := json.Marshal(collected)
	require.NoError(t, err)
	fmt.Fprintf(&text, "%s\n%+v\n", encoded, collected)
	return text.String()
}

// tattler is a transport whose errors quote the request, as those of a careless middleware do.
type tattler struct{ http.RoundTripper }

func (t tattler) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return nil, fmt.Errorf("cannot send %s %s with %v for %s", r.Method, r.URL, r.Header, personDocument)
	}
	return t.RoundTripper.RoundTrip(r)
}

func TestNothingThatIsExportedHasASecretOrPersonalData(t *testing.T) {
	for name, options := range map[string][]connectpspotel.Option{
		"by default": {connectpspotel.WithURLTemplate()},
		"with ids":   {connectpspotel.WithURLTemplate(), connectpspotel.WithIDs()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel := newTelemetry(t, options...)
				ids, never := live(t, tel)
				text := tel.exported(t)
				for _, needle := range never {
					assert.False(t, len(needle) < 6 || strings.Contains(strings.ToLower(text), strings.ToLower(needle)), needle)
				}
				for _, id := range ids {
					assert.Equal(t, len(options) == 2, strings.Contains(text, id), id)
				}
				for _, activity := range []string{
					"connectpsp.createCashIn", "connectpsp.createCashOut", "connectpsp.refundCashIn", "connectpsp.getCashIn", "POST /auth/token",
					"connectpsp.journal.finish", "connectpsp.webhook.delivery", "connectpsp.webhook.processing", "invalid_signature", "quarantined", "panic",
				} {
					assert.Contains(t, text, activity)
				}
			})
		})
	}
}

// live takes a service through good and bad days. It returns ids of payments, and what must never
// be exported.
func live(t *testing.T, tel *telemetry) (ids, never []string) {
	s := startService(t, tel)
	s.apply = func(_ context.Context, step webhook.Transition) error {
		switch {
		case step.CashIn == nil:
			return nil
		case step.CashIn.ExternalReference == "order-fails":
			return errors.New("no wallet for " + personName)
		case step.CashIn.ExternalReference == "order-panics":
			panic("no wallet for " + personDocument)
		}
		return nil
	}
	ctx := t.Context()
	note := func(transaction string) { ids = append(ids, transaction) }

	for _, reference := range []string{"order-paid", "order-fails", "order-panics"} {
		charge, err := s.client.CreateCashIn(ctx, s.charge(reference))
		require.NoError(t, err)
		require.NoError(t, s.gateway.PayCashIn(charge.TransactionID))
		note(charge.TransactionID)
		note(reference)
		if reference == "order-paid" {
			s.settle()
			_, err = s.client.RefundCashIn(ctx, charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud, Description: "charged twice"})
			require.NoError(t, err)
			require.NoError(t, s.gateway.SettleRefund(charge.TransactionID))
		}
	}
	for reference, faults := range map[string][]sandbox.Fault{
		"withdrawal-good":    nil,
		"withdrawal-retried": {sandbox.LoseAnswer, sandbox.TooManyRequests},
		"withdrawal-other":   {sandbox.OtherAnswer},
		"withdrawal-html":    {sandbox.Status(200)},
		"withdrawal-broken":  {sandbox.BrokenJSON, sandbox.CutAnswer, sandbox.Hang},
	} {
		require.NoError(t, s.gateway.FailNext("createCashOut", faults...))
		payment, err := s.client.CreateCashOut(ctx, s.withdrawal(reference))
		if faults == nil {
			require.NoError(t, err)
			require.NoError(t, s.gateway.CompleteCashOut(payment.TransactionID))
			note(payment.TransactionID)
		}
		note(reference)
	}
	for _, code := range []string{"INSUFFICIENT_FUNDS", "NO_SUCH_" + personDocument, "MARIANA_REFUSED"} {
		require.NoError(t, s.gateway.RefuseNext("createCashOut", 422, code))
		_, err := s.client.CreateCashOut(ctx, s.withdrawal("withdrawal-refused-"+strings.ToLower(code[:3])))
		require.Error(t, err)
	}
	s.gateway.RevokeTokens()
	_, err := s.client.GetBalance(ctx)
	require.NoError(t, err)
	s.settle()

	// A middleware quotes the request, the journal cannot be written, and the credentials are
	// wrong.
	config := s.gateway.Config()
	config.ClientSecret = auth.NewSecret("wrong-client-secret")
	tokens := tattler{s.gateway.HTTPClient().Transport}
	for _, options := range [][]connectpsp.Option{
		{connectpsp.WithHTTPClient(&http.Client{Transport: tokens})},
		{connectpsp.WithJournal(closedJournal{s.journal})},
	} {
		client := newClient(t, s.gateway, append(options, connectpsp.WithObserver(tel))...)
		_, _ = client.GetCashIn(ctx, ids[0])
		_, _ = client.CreateCashOut(ctx, s.withdrawal("withdrawal-last"))
	}
	wrong, err := connectpsp.New(config, connectpsp.WithObserver(tel), connectpsp.WithHTTPClient(s.gateway.HTTPClient()))
	require.NoError(t, err)
	_, err = wrong.GetBalance(ctx)
	require.Error(t, err)

	// Forged and broken deliveries.
	for _, secret := range []string{"forged-secret", config.CryptoToken.Reveal()} {
		body := `{"eventType":"` + personName + `","data":{"payer":{"document":"` + personDocument + `"}}`
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+webhookAddress, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(secret, []byte(body))))
		request.Header.Set("X-Event-Id", personDocument)
		response, err := s.gateway.HTTPClient().Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	time.Sleep(time.Hour) // the items are retried
	synctest.Wait()
	s.close()

	never = []string{
		"mariana", "canario", personDocument, "charged twice", "no wallet", "98765.43",
		config.ClientSecret.Reveal(), s.gateway.Config().ClientSecret.Reveal(), config.ApplicationToken.Reveal(), config.CryptoToken.Reveal(), "forged-secret",
	}
	for _, request := range s.gateway.Requests() {
		if token, bears := strings.CutPrefix(request.Header().Get("Authorization"), "Bearer "); bears {
			never = append(never, token)
		}
		if signature := request.Header().Get("DigitalSignature"); signature != "" {
			never = append(never, signature)
		}
		if key := request.Header().Get("X-Idempotency-Key"); key != "" {
			ids = append(ids, key)
		}
	}
	return ids, never
}

// closedJournal is a journal that cannot be written.
type closedJournal struct{ connectpsp.Journal }

func (closedJournal) Begin(context.Context, connectpsp.Intent) (*connectpsp.Intent, error) {
	return nil, errors.New("no space for " + personName)
}
