package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// exportSpans exports the spans of the processes that the test starts.
func exportSpans(t *testing.T) *tracetest.InMemoryExporter {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	return spans
}

// asking begins the name of the span in which a test asks for a withdrawal. The reference follows.
const asking = "POST /withdrawals/"

// ask credits the player and asks for a withdrawal, as the handler of an HTTP request does.
func (p *platform) ask(t *testing.T, w withdrawal) state {
	t.Helper()
	require.NoError(t, p.books.deposit(t.Context(), player, w.amount))
	ctx, span := otel.Tracer("test").Start(t.Context(), asking+w.reference)
	defer span.End()
	state, err := p.books.withdraw(ctx, w)
	require.NoError(t, err)
	return state
}

// origins returns the names of the spans to which the parents and the links of a span lead.
func origins(spans tracetest.SpanStubs, of tracetest.SpanStub) (names []string) {
	byID := map[trace.SpanID]tracetest.SpanStub{}
	for _, span := range spans {
		byID[span.SpanContext.SpanID()] = span
	}
	seen := map[trace.SpanID]bool{}
	var follow func(trace.SpanContext)
	follow = func(to trace.SpanContext) {
		span, exported := byID[to.SpanID()]
		if !exported || seen[to.SpanID()] {
			return
		}
		seen[to.SpanID()] = true
		names = append(names, span.Name)
		follow(span.Parent)
		for _, link := range span.Links {
			follow(link.SpanContext)
		}
	}
	follow(of.Parent)
	for _, link := range of.Links {
		follow(link.SpanContext)
	}
	return names
}

// statement returns the statement of a span, empty if it is of none.
func statement(span tracetest.SpanStub) string {
	for _, attribute := range span.Attributes {
		if attribute.Key == "db.query.text" {
			return attribute.Value.AsString()
		}
	}
	return ""
}

// logBuffer is a log that goroutines share.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// One withdrawal is paid at the second attempt, and one is refused.
func TestAWithdrawalIsFollowedFromItsRequestToTheCreditInTheBooks(t *testing.T) {
	exporter := exportSpans(t)
	p := newPlatform(t)
	address, err := freeAddress()
	require.NoError(t, err)
	t.Setenv("PAYOUTS_METRICS", address)
	var log logBuffer
	p.app, err = open(t.Context(), p.database, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	require.NoError(t, err)
	t.Cleanup(p.close)
	require.NoError(t, p.connect(t.Context(), p.bank.Config()))
	listener, url := listen(t)
	stopReceiver := inBackground(t, func(ctx context.Context) error { return p.receive(ctx, listener, p.bank.Config()) })
	stopWorker := inBackground(t, func(ctx context.Context) error {
		return p.work(ctx, workerSettings{url, 4, false, defaultTimeouts})
	})

	const name, key = "Mariana Canario", "mariana@canario.example"
	paid, refused := newWithdrawal("withdrawal-paid"), newWithdrawal("withdrawal-refused")
	for _, w := range []*withdrawal{&paid, &refused} {
		w.payee = connectpsp.Payee{Name: name, Document: document, Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, key)}
	}
	p.bank.loseAnswers(1)
	require.Equal(t, statePending, p.ask(t, paid))
	eventually(t, func() bool {
		return p.number(t, `SELECT count(*) FROM withdrawal WHERE reference = $1 AND transaction_id <> ''`, paid.reference) == 1
	}, "it is not accepted")
	require.NoError(t, p.bank.CompleteCashOut(p.bank.paid(paid.reference)[0]))
	eventually(t, func() bool { return p.state(t, paid.reference) == statePosted }, "it is not posted")
	require.NoError(t, p.bank.RefuseNext("createCashOut", http.StatusUnprocessableEntity, string(connectpsp.CodeInsufficientFunds)))
	require.Equal(t, statePending, p.ask(t, refused))
	eventually(t, func() bool { return p.state(t, refused.reference) == stateVoided }, "it is not voided")
	scrape := get(t, "http://"+address+"/metrics")
	stopWorker()
	stopReceiver()
	spans := exporter.GetSpans()

	t.Run("each span leads back to its request", func(t *testing.T) {
		led := map[string][]string{}
		for _, span := range spans {
			name, from := span.Name, origins(spans, span)
			if strings.Contains(statement(span), "INSERT INTO entry") && slices.Contains(from, "connectpsp.webhook.processing") {
				name = "the credit"
			}
			for _, origin := range from {
				led[origin] = append(led[origin], name)
			}
		}
		called := []string{
			"withdraw", "river.insert_many", "river.work/payout", "connectpsp.createCashOut", "POST",
			"connectpsp.journal.begin", "connectpsp.journal.sent", "connectpsp.journal.finish",
		}
		booked := []string{"connectpsp.webhook.delivery", "connectpsp.webhook.processing", "connectpsp.getCashOut", "the credit"}
		assert.Subset(t, led[asking+paid.reference], append(called, booked...))
		assert.Subset(t, led[asking+refused.reference], called)
		for _, name := range booked {
			assert.NotContains(t, led[asking+refused.reference], name)
		}
	})
	t.Run("nothing has a secret or personal data", func(t *testing.T) {
		var exported bytes.Buffer
		for _, span := range spans {
			encoded, err := json.Marshal(span)
			require.NoError(t, err)
			fmt.Fprintf(&exported, "%s\n%+v\n", encoded, span)
		}
		config := p.bank.Config()
		never := []string{"mariana", "canario", document, config.ClientSecret.Reveal(), config.ApplicationToken.Reveal(), config.CryptoToken.Reveal()}
		for _, request := range p.bank.Requests() {
			if token, bears := strings.CutPrefix(request.Header().Get("Authorization"), "Bearer "); bears {
				never = append(never, token)
			}
		}
		for what, text := range map[string]string{"spans": exported.String(), "log": log.String(), "metrics": scrape} {
			require.NotEmpty(t, text, what)
			for _, needle := range never {
				require.Greater(t, len(needle), 6)
				assert.NotContains(t, strings.ToLower(text), strings.ToLower(needle), what)
			}
		}
	})
	t.Run("the metrics show the withdrawals", func(t *testing.T) {
		for _, line := range []string{
			`connectpsp_client_calls_total{operation="createCashOut",outcome="accepted"} 1`,
			`connectpsp_client_calls_total{operation="createCashOut",outcome="rejected"} 1`,
			`connectpsp_webhook_deliveries_total{result="stored"} 1`,
			`connectpsp_webhook_steps_total{kind="CASHOUT",to="COMPLETED"} 1`,
			`connectpsp_payments_open{state="sent"} 0`,
		} {
			assert.Contains(t, scrape, line+"\n")
		}
	})
}

// The person who releases it has a trace of their own, or none.
func TestAWithdrawalThatWasHeldIsFollowedFromItsRequest(t *testing.T) {
	exporter := exportSpans(t)
	p := newPlatform(t)
	p.execute(t, "UPDATE control SET player_limit = 0")
	require.Equal(t, stateHeld, p.ask(t, newWithdrawal(reference)))
	require.NoError(t, p.books.release(t.Context(), reference))
	ctx, span := startSpan(t.Context(), "the job")
	_, err := newPayer(t, p.app, "").pay(ctx, reference)
	require.NoError(t, err)
	span.End()
	spans := exporter.GetSpans()
	call := slices.IndexFunc(spans, func(span tracetest.SpanStub) bool { return span.Name == "connectpsp.createCashOut" })
	require.GreaterOrEqual(t, call, 0)
	assert.Equal(t, []string{"the job", "withdraw", asking + reference}, origins(spans, spans[call]))
}

func TestSpansArePrintedIfTheEnvironmentSaysSo(t *testing.T) {
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	for _, exporter := range []string{"", "console"} {
		t.Setenv("OTEL_TRACES_EXPORTER", exporter)
		var out bytes.Buffer
		stop, err := startTracing(&out)
		require.NoError(t, err)
		_, span := startSpan(t.Context(), "withdraw")
		span.End()
		stop()
		assert.Equal(t, exporter == "console", strings.Contains(out.String(), `"Name":"withdraw"`), out.String())
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	return string(body)
}
