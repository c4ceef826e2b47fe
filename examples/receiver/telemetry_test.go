package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// exportSpans exports the spans of the services that the test starts.
func exportSpans(t *testing.T) *tracetest.InMemoryExporter {
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	return spans
}

// origins returns the names of the spans to which the parents and the links of a span lead.
func origins(spans tracetest.SpanStubs, of tracetest.SpanStub) (names []string) {
	seen := map[trace.SpanID]bool{}
	var follow func(tracetest.SpanStub)
	follow = func(from tracetest.SpanStub) {
		next := []trace.SpanID{from.Parent.SpanID()}
		for _, link := range from.Links {
			next = append(next, link.SpanContext.SpanID())
		}
		for _, span := range spans {
			if id := span.SpanContext.SpanID(); slices.Contains(next, id) && !seen[id] {
				seen[id] = true
				names = append(names, span.Name)
				follow(span)
			}
		}
	}
	follow(of)
	return names
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

// logAll sends the log of all levels to a buffer.
func logAll(t *testing.T) *logBuffer {
	log, before := &logBuffer{}, slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(before) })
	return log
}

// newPostgres returns the address of an empty database, empty if there is no server.
func newPostgres(t *testing.T) string {
	server := os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if server == "" {
		return ""
	}
	admin, err := sql.Open("pgx", server)
	check(t, err)
	defer admin.Close()
	for _, statement := range []string{"DROP DATABASE IF EXISTS receiver_telemetry", "CREATE DATABASE receiver_telemetry"} {
		_, err = admin.ExecContext(t.Context(), statement)
		check(t, err)
	}
	return strings.Replace(server, "dbname=postgres", "dbname=receiver_telemetry", 1)
}

func TestADepositIsFollowedFromItsRequestToTheCreditInTheWallet(t *testing.T) {
	for name, database := range map[string]string{"SQLite": "", "PostgreSQL": newPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			if name == "PostgreSQL" && database == "" {
				t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
			}
			exporter, log := exportSpans(t), logAll(t)
			address := freeAddress(t)
			t.Setenv("RECEIVER_METRICS", address)
			gateway, err := sandbox.Start()
			check(t, err)
			defer gateway.Close()
			db, dialect, err := openDatabase(database)
			check(t, err)
			defer db.Close()
			service, err := startService(t.Context(), gateway.Config(), db, dialect)
			check(t, err)
			stop := sync.OnceFunc(service.stop)
			defer stop()
			s := &shop{service, gateway}

			s.deposit(t)
			scrape := get(t, "http://"+address+"/metrics")
			stop()
			spans := exporter.GetSpans()
			followed(t, spans, dialect == sqlstore.PostgreSQL)
			private(t, gateway, map[string]string{"spans": exported(t, spans), "log": log.text.String(), "metrics": scrape})
			for _, line := range []string{
				`connectpsp_client_calls_total{operation="createCashIn",outcome="accepted"} 1`,
				`connectpsp_webhook_deliveries_total{result="stored"} 1`,
				`connectpsp_webhook_steps_total{kind="CASHIN",to="PAID"} 1`,
			} {
				if !strings.Contains(scrape, line+"\n") {
					t.Errorf("the metrics lack %s", line)
				}
			}
		})
	}
}

// asking is the name of the span of the HTTP request that asks for a deposit.
const asking = "POST /deposits"

// deposit makes a charge and pays it. The name of the wallet's customer is personal data too.
func (s *shop) deposit(t *testing.T) {
	const name = "Mariana Canario"
	ctx, span := otel.Tracer("test").Start(t.Context(), asking)
	check(t, s.wallets.expect(ctx, reference, name, amount))
	charge, err := s.client.CreateCashIn(ctx, connectpsp.CashInRequest{
		Amount: amount, ExternalReference: reference, WebhookURL: s.url,
		Payer: connectpsp.Payer{Name: name, Document: "12345678909"},
	})
	check(t, err)
	span.End()
	check(t, s.gateway.PayCashIn(charge.TransactionID))
	s.until(t, func(c webhook.WorkerCounts) bool { return c.Applied == 1 })
	balance, err := s.wallets.balance(t.Context(), name)
	check(t, err)
	if balance != amount {
		t.Errorf("the wallet holds %v", balance)
	}
}

// followed checks that the spans of a deposit lead back to its request.
func followed(t *testing.T, spans tracetest.SpanStubs, hasStatements bool) {
	led := map[string]bool{}
	for _, span := range spans {
		from := origins(spans, span)
		if !slices.Contains(from, asking) {
			continue
		}
		led[span.Name] = true
		for _, attribute := range span.Attributes {
			if strings.Contains(attribute.Value.String(), "INSERT INTO wallet") && slices.Contains(from, "connectpsp.webhook.processing") {
				led["the credit"] = true
			}
		}
	}
	want := []string{"connectpsp.createCashIn", "POST", "connectpsp.webhook.delivery", "connectpsp.webhook.processing", "connectpsp.getCashIn"}
	if hasStatements {
		want = append(want, "the credit")
	}
	for _, name := range want {
		if !led[name] {
			t.Errorf("%s does not lead back to the request; these do: %v", name, led)
		}
	}
}

// private checks that no output has a secret or personal data.
func private(t *testing.T, gateway *sandbox.Sandbox, outputs map[string]string) {
	config := gateway.Config()
	never := []string{"mariana", "canario", "12345678909", config.ClientSecret.Reveal(), config.ApplicationToken.Reveal(), config.CryptoToken.Reveal()}
	for _, request := range gateway.Requests() {
		if token, bears := strings.CutPrefix(request.Header().Get("Authorization"), "Bearer "); bears {
			never = append(never, token)
		}
	}
	for what, text := range outputs {
		if text == "" {
			t.Errorf("there are no %s", what)
		}
		for _, needle := range never {
			if strings.Contains(strings.ToLower(text), strings.ToLower(needle)) {
				t.Errorf("the %s have %q", what, needle)
			}
		}
	}
}

// exported returns spans in each form that may reach an exporter.
func exported(t *testing.T, spans tracetest.SpanStubs) string {
	var text strings.Builder
	for _, span := range spans {
		encoded, err := json.Marshal(span)
		check(t, err)
		fmt.Fprintf(&text, "%s\n%+v\n", encoded, span)
	}
	return text.String()
}

func TestSpansArePrintedIfTheEnvironmentSaysSo(t *testing.T) {
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	for _, exporter := range []string{"", "console"} {
		t.Setenv("OTEL_TRACES_EXPORTER", exporter)
		var out bytes.Buffer
		stop, err := startTracing(&out)
		check(t, err)
		_, span := startSpan(t.Context(), "deposit")
		span.End()
		stop()
		if printed := strings.Contains(out.String(), `"Name":"deposit"`); printed != (exporter == "console") {
			t.Errorf("with %q: %s", exporter, &out)
		}
	}
}

// freeAddress returns an address on this machine that nothing listens at.
func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, listener.Close())
	return listener.Addr().String()
}

func get(t *testing.T, url string) string {
	response, err := http.Get(url)
	check(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d", response.StatusCode)
	}
	return string(body)
}
