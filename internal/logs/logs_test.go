// Package logs keeps docs/logs.md honest: its tables hold the events and attributes that the
// packages log, and no others.
package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const root = "../.."

// documented is a row of the table of events.
type documented struct {
	levels     []string
	message    string
	attributes []string // sorted
	advice     string
}

var (
	quoted = regexp.MustCompile("`([^`]+)`")
	levels = regexp.MustCompile(`debug|warning|error`)
)

// tables reads docs/logs.md.
func tables(t *testing.T) (events map[string]documented, attributes []string) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "logs.md"))
	require.NoError(t, err)
	events = map[string]documented{}
	for _, row := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(row, "|"), " | ")
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		if len(cells) == 2 {
			attributes = append(attributes, names(cells[0])...)
			continue
		}
		cells = strings.Split(row, "|")
		require.Len(t, cells, 7, row)
		event := names(cells[1])
		require.Len(t, event, 1, row)
		events[event[0]] = documented{levels.FindAllString(cells[2], -1), strings.TrimSpace(cells[3]), names(cells[4]), strings.TrimSpace(cells[5])}
	}
	slices.Sort(attributes)
	return events, attributes
}

// names returns the texts between backquotes, sorted.
func names(cell string) (found []string) {
	for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return found
}

// log collects the lines of a test.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *log) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// logged is what the lines of an event have been.
type logged struct {
	levels, messages, attributes map[string]bool
}

// events returns what the log has of each event.
func (l *log) events(t *testing.T) map[string]logged {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]logged{}
	for decoder := json.NewDecoder(&l.text); ; {
		var line map[string]any
		err := decoder.Decode(&line)
		if err == io.EOF {
			return found
		}
		require.NoError(t, err)
		event, _ := line["event"].(string)
		require.NotEmpty(t, event, "%v", line)
		if found[event].levels == nil {
			found[event] = logged{map[string]bool{}, map[string]bool{}, map[string]bool{}}
		}
		level := map[any]string{"DEBUG": "debug", "WARN": "warning", "ERROR": "error"}[line["level"]]
		found[event].levels[level], found[event].messages[line["msg"].(string)] = true, true
		for _, own := range []string{"time", "level", "msg", "event"} {
			delete(line, own)
		}
		for name := range line {
			found[event].attributes[name] = true
		}
	}
}

func sorted(set map[string]bool) []string {
	all := []string{}
	for one := range set {
		all = append(all, one)
	}
	slices.Sort(all)
	return all
}

const (
	cryptoToken = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"
	chargeID    = "kk6g232xel65a0daee4dd13kk2912714964"
	event       = `{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{"transactionId":"` + chargeID + `",` +
		`"externalReference":"order-1","endToEndId":"E00416968202603101827cemeFscF6AG","status":"PAID","amount":10.00}}`
)

// gateway is a transport that answers every request but those for tokens with a status and a body,
// or not at all with the status 0.
type gateway struct {
	mu     sync.Mutex
	status int
	body   string
}

func (g *gateway) set(status int, body string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status, g.body = status, body
}

func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	status, body := g.status, g.body
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if r.URL.Path == "/auth/token" && status != 0 {
		status, body = 200, `{"accessToken":"header.payload.signature","expiresIn":3600}`
	}
	if status == 0 {
		return nil, io.EOF
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	if status/100 > 2 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	return w.Result(), nil
}

func (g *gateway) client(t *testing.T, options ...connectpsp.Option) *connectpsp.Client {
	client, err := connectpsp.New(connectpsp.Config{
		ClientID: "1024", ClientSecret: auth.NewSecret("secret"), ApplicationToken: auth.NewSecret("application"),
		CryptoToken: auth.NewSecret(cryptoToken),
	}, append(options, connectpsp.WithHTTPClient(&http.Client{Transport: g}))...)
	require.NoError(t, err)
	return client
}

func problem(status int, code string) string {
	return fmt.Sprintf(`{"title":"A title","status":%d,"code":%q}`, status, code)
}

// logOfCalls logs every event of package connectpsp.
func logOfCalls(t *testing.T, log *log) {
	g := &gateway{}
	client := g.client(t, connectpsp.WithLogger(log.logger()), connectpsp.WithObserver(&faulty{}))
	request := connectpsp.CashOutRequest{
		Amount: pix.Centavos(5000), Description: "User withdrawal", WebhookURL: "https://shop.example.com/webhooks/connectpsp",
		Payee: connectpsp.Payee{
			Name: "Maria da Silva Santos", Document: "12345678909", Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
		},
	}
	pay := func(reference string) {
		request.ExternalReference = reference
		_, _ = client.CreateCashOut(t.Context(), request, connectpsp.WithDueBy(time.Now()))
	}
	pay("no-response") // not even to the request for a token
	g.set(500, problem(500, "INTERNAL_ERROR"))
	pay("refused-with-a-code")
	_, err := client.RefundCashIn(t.Context(), chargeID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
	g.set(409, problem(409, "DUPLICATE_EXTERNAL_REFERENCE"))
	pay("in-conflict")
	time.Sleep(time.Minute)
	_, err = client.Recover(t.Context())
	require.NoError(t, err)
	time.Sleep(time.Hour) // until the observer has returned
}

// faulty is an Observer that panics once and then hangs.
type faulty struct {
	mu       sync.Mutex
	panicked bool
}

func (f *faulty) Begin(ctx context.Context, _ any) context.Context {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.panicked {
		f.panicked = true
		panic("a bug")
	}
	time.Sleep(10 * time.Minute)
	return ctx
}

func (*faulty) End(context.Context, any) {}

// brokenInbox is an inbox whose calls fail.
type brokenInbox struct{ *webhook.MemoryInbox }

var errDown = errors.New("the database is down")

func (brokenInbox) Put(context.Context, webhook.Item) (*webhook.Digest, error) { return nil, errDown }
func (brokenInbox) Claim(context.Context, time.Duration, int) ([]*webhook.Claim, error) {
	return nil, errDown
}

// logOfEvents logs every event of package webhook.
func logOfEvents(t *testing.T, log *log) {
	deliver := func(inbox webhook.Inbox, body string) {
		handler, err := webhook.NewHandler(inbox, auth.NewSecret(cryptoToken))
		require.NoError(t, err)
		handler.Logger = log.logger()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Connect-Signature", signing.Sign(cryptoToken, body))
		r.Header.Set("X-Event-Id", "6f0c1c0e-58a3-4a7b-8f43-3c1a5f5e0b11")
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	client := (&gateway{status: 404, body: problem(404, "NOT_FOUND")}).client(t, connectpsp.WithLogger(slog.New(slog.DiscardHandler)))
	work := func(inbox webhook.Inbox, function func() error, options ...webhook.WorkerOption) {
		worker := webhook.NewWorker(inbox, client, func(context.Context, webhook.Transition) error { return function() },
			append(options, webhook.WithLogger(log.logger()))...)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		_ = worker.Run(ctx)
	}
	due := webhook.NewMemoryInbox()
	late := webhook.NewWorker(due, client, func(context.Context, webhook.Transition) error { return nil }, webhook.WithLogger(log.logger()))
	require.NoError(t, late.WatchDueBy(t.Context(), "0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11", time.Now()))
	_, err := late.Work(t.Context()) // the gateway does not know the payment yet
	require.NoError(t, err)
	deliver(brokenInbox{}, event)
	inbox := webhook.NewMemoryInbox()
	deliver(inbox, "{}")
	deliver(inbox, strings.Replace(event, "CASHIN_PAID", "CASHIN_DISPUTED", 1))
	deliver(inbox, event)
	work(inbox, func() error { return errors.New("the wallet is closed") })
	panicking, forged := webhook.NewMemoryInbox(), webhook.NewMemoryInbox()
	deliver(panicking, event)
	work(panicking, func() error { panic("a bug") })
	deliver(forged, event)
	work(forged, func() error { return nil }, webhook.WithConfirmation(pix.Amount{}))
	work(brokenInbox{inbox}, func() error { return nil })
}

func TestEachEventIsLoggedAsTheTableSays(t *testing.T) {
	events, known := tables(t)
	log := &log{}
	synctest.Test(t, func(t *testing.T) {
		logOfCalls(t, log)
		logOfEvents(t, log)
	})
	assert.NotContains(t, log.text.String(), "12345678909")
	assert.NotContains(t, log.text.String(), "Maria")
	found := log.events(t)
	used := map[string]bool{"event": true}
	for event, row := range events {
		t.Run(event, func(t *testing.T) {
			assert.Equal(t, []string{row.message}, sorted(found[event].messages))
			assert.Subset(t, row.levels, sorted(found[event].levels))
			assert.Equal(t, append([]string{}, row.attributes...), sorted(found[event].attributes))
			assert.NotEmpty(t, row.advice)
		})
		for _, name := range row.attributes {
			used[name] = true
		}
		delete(found, event)
	}
	assert.Empty(t, found, "the table lacks them")
	assert.Equal(t, known, sorted(used), "the table of attributes")
	for _, name := range known {
		assert.Regexp(t, `^[a-z]+(_[a-z]+)*$`, name)
	}
}

// The other test logs no event that it does not know of.
func TestEveryEventInTheSourceIsInTheTable(t *testing.T) {
	events, _ := tables(t)
	found := map[string]bool{}
	for _, directory := range []string{"auth", "connectpsp", "internal/observe", "journal", "sandbox", "sandbox/control", "sqlstore", "webhook"} {
		files, err := filepath.Glob(filepath.Join(root, directory, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(parsed, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok {
					return true
				}
				for n := range len(call.Args) - 1 {
					if text(call.Args[n]) == "event" && text(call.Args[n+1]) != "" {
						found[text(call.Args[n+1])] = true
					}
				}
				return true
			})
		}
	}
	documented := map[string]bool{}
	for event := range events {
		documented[event] = true
	}
	assert.Equal(t, sorted(documented), sorted(found))
}

// text returns the value of a string in the source, empty for any other expression.
func text(expression ast.Expr) string {
	literal, ok := expression.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	value, _ := strconv.Unquote(literal.Value)
	return value
}
