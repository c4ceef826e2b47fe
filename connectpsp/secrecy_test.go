package connectpsp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// canaries are the secrets and the personal data that the SDK must not print.
var canaries = []string{accessToken, clientSecret, applicationToken, cryptoToken, proxyPassword, "12345678909", "123.456.789-09", "Maria",
	"maria@example.com", "Test User", signing.Sign(cryptoToken, accessToken)}

// forms are the forms in which fmt and encoding/json write each canary, byte by byte too.
var forms = func() map[string][]string {
	forms := map[string][]string{}
	for _, canary := range canaries {
		for _, form := range []string{
			canary, hex.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(canary)),
			strings.Trim(fmt.Sprint([]byte(canary)), "[]"), strings.Trim(fmt.Sprintf("%#v", []byte(canary)), "[]byte{}"),
		} {
			forms[canary] = append(forms[canary], strings.ToLower(form))
		}
	}
	return forms
}()

// leaks returns the canaries in a text.
func leaks(text string) (found []string) {
	text = strings.ToLower(text)
	for _, canary := range canaries {
		if slices.ContainsFunc(forms[canary], func(form string) bool { return strings.Contains(text, form) }) {
			found = append(found, canary)
		}
	}
	return found
}

// printed returns a value as programs print it, by the way of printing.
func printed(value any) map[string]string {
	texts := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts[verb] = fmt.Sprintf(verb, value)
	}
	encoded, err := json.Marshal(value)
	texts["json"] = fmt.Sprint(string(encoded), err)
	var lines bytes.Buffer
	slog.New(slog.NewTextHandler(&lines, nil)).Info("", "value", value)
	slog.New(slog.NewJSONHandler(&lines, nil)).Info("", "value", value)
	texts["slog"] = lines.String()
	return texts
}

// everyCause returns err, all errors that are reached from it by Unwrap, and the Refusal of an
// unknown outcome.
func everyCause(err error) []error {
	causes := []error{err}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			causes = append(causes, everyCause(cause)...)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			causes = append(causes, everyCause(cause)...)
		}
	}
	var unknown *connectpsp.UnknownOutcomeError
	if errors.As(err, &unknown) && unknown.Refusal != nil && err == error(unknown) {
		causes = append(causes, everyCause(unknown.Refusal)...)
	}
	return causes
}

// assertKeepsSecrets asserts that no error that is reached from err prints a canary.
func assertKeepsSecrets(t *testing.T, err error) {
	t.Helper()
	for _, cause := range everyCause(err) {
		values := []any{cause, struct{ Err error }{cause}, []error{cause}}
		switch e := cause.(type) {
		case *connectpsp.APIError:
			values = append(values, *e)
		case *connectpsp.UnknownOutcomeError:
			var read connectpsp.UnknownOutcomeError // in another process
			encoded, err := json.Marshal(e)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(encoded, &read))
			values = append(values, *e, &read)
		case *auth.Error:
			values = append(values, *e)
		}
		for _, value := range values {
			for way, text := range printed(value) {
				assert.Empty(t, leaks(text), "%T as %s", value, way)
			}
		}
	}
}

// response sends a complete response.
func response(status, contentType, body string) http.HandlerFunc {
	return raw("HTTP/1.1 " + status + "\r\nContent-Type: " + contentType + "\r\nContent-Length: " + strconv.Itoa(len(body)) +
		"\r\nConnection: close\r\n\r\n" + body)
}

// brokenAnswers returns responses of a broken or hostile peer, by the part that is broken.
func brokenAnswers() map[string]http.HandlerFunc {
	const ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	const chunked = ok + "Transfer-Encoding: chunked\r\n"
	answers := map[string]http.HandlerFunc{
		"nothing":            drop,
		"no status line":     raw(`{"accessToken":"` + words + `"}` + "\r\n\r\n"),
		"no line":            raw(words),
		"version":            raw("HTTP/" + words + " 200 OK\r\n\r\n"),
		"status":             raw("HTTP/1.1 " + words + "\r\n\r\n"),
		"reason":             raw("HTTP/1.1 500 " + words + "\r\nContent-Length: 0\r\n\r\n"),
		"informational":      raw("HTTP/1.1 103 " + words + "\r\nLink: " + words + "\r\n\r\n" + words),
		"body as header":     raw(ok + `{"accessToken":"` + accessToken + `","document":"12345678909"}` + "\r\n\r\n"),
		"no colon":           raw(ok + words + "\r\n\r\n"),
		"header without end": raw(ok + "A: " + words),
		"name of a header":   raw(ok + words + ": a\r\n\r\n"),
		"value of a header":  raw(ok + "A: \x00" + words + "\r\n\r\n"),
		"large header":       raw(ok + "A: " + strings.Repeat(words, 1000) + "\r\n\r\n"),
		"length":             raw(ok + "Content-Length: " + words + "\r\n\r\n"),
		"two lengths":        raw(ok + "Content-Length: 1\r\nContent-Length: " + words + "\r\n\r\na"),
		"transfer encoding":  raw(ok + "Transfer-Encoding: " + words + "\r\n\r\n"),
		"size of a chunk":    raw(chunked + "\r\n" + words + "\r\n\r\n"),
		"end of a chunk":     raw(chunked + "\r\n2\r\n{}" + words + "\r\n\r\n"),
		"cut chunk":          raw(chunked + "\r\nfff\r\n" + words),
		"trailer":            raw(chunked + "\r\n0\r\n" + `{"accessToken":"` + accessToken + `"}` + words + "\r\n\r\n"),
		"name of a trailer":  raw(chunked + "Trailer: " + words + "\r\n\r\n0\r\n" + words + ": a\r\n\r\n"),
		"gzip":               raw(ok + "Content-Encoding: gzip\r\n\r\n" + words),
		"gzip, cut":          raw(ok + "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + words),
		"cut body":           raw(ok + "Content-Length: 1000\r\n\r\n" + `{"accessToken":"` + words),
		"another protocol":   raw("HTTP/1.1 101 " + words + "\r\nUpgrade: " + words + "\r\nConnection: Upgrade\r\n\r\n" + words),
		"location":           raw("HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/?" + url.QueryEscape(words) + "\r\nContent-Length: 0\r\n\r\n"),
		"broken location":    raw("HTTP/1.1 307 Found\r\nLocation: http://%zz" + words + "\r\nContent-Length: 0\r\n\r\n"),
		"dates":              raw("HTTP/1.1 429 " + words + "\r\nRetry-After: " + words + "\r\nDate: " + words + "\r\nContent-Length: 0\r\n\r\n"),
		"text":               response("200 OK", "text/plain", words),
		"half of JSON":       response("200 OK", "application/json", `{"transactionId":"`+words),
		"a list":             response("200 OK", "application/json", `["`+words+`"]`),
		"types":              response("200 OK", "application/json", `{"transactionId":7,"amount":"`+words+`","status":["`+words+`"],"accessToken":{"`+words+`":1}}`),
		"fields": response("202 OK", "application/json", `{"transactionId":"`+words+`","externalReference":"`+words+`","status":"`+words+
			`","amount":50.00,"accessToken":"`+words+`","expiresIn":"`+words+`","success":false,"message":"`+words+`"}`),
		"document as a code": response("422 "+words, "application/problem+json", `{"code":"CPF_12345678909","status":422}`),
		"echo":               echo(422, "application/problem+json"),
	}
	problem, _ := json.Marshal(map[string]any{"type": words, "title": words, "detail": words, "code": words, "status": words, "instance": words})
	for _, status := range []int{200, 301, 400, 401, 403, 404, 408, 409, 418, 422, 429, 500, 502, 503} {
		line := strconv.Itoa(status) + " " + words
		answers[fmt.Sprint("problem ", status)] = response(line, "application/problem+json", string(problem))
		answers[fmt.Sprint("page ", status)] = response(line, "text/html", "<html><body>"+words+"</body></html>")
		answers[fmt.Sprint("half a problem ", status)] = response(line, "application/problem+json", string(problem[:len(problem)/2]))
	}
	return answers
}

// paymentsOfMaria calls every operation, and returns the errors.
func paymentsOfMaria(ctx context.Context, client *connectpsp.Client) []error {
	request := cashOutRequest()
	request.Payee.Destination = connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")
	wrong := request
	wrong.Payee.Document, wrong.Payee.Destination.PIXKey = "12345678900", "maria@example.com "
	_, paid := client.CreateCashOut(ctx, request)
	_, again := client.CreateCashOut(ctx, request)
	_, invalid := client.CreateCashOut(ctx, wrong)
	_, charged := client.CreateCashIn(ctx, cashInRequest())
	_, refunded := client.RefundCashIn(ctx, cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	_, readIn := client.GetCashIn(ctx, cashInID)
	_, readOut := client.GetCashOut(ctx, cashOutID)
	_, balance := client.GetBalance(ctx)
	_, rebalanced := client.RebalanceAccount(ctx, pix.Centavos(1))
	errs := []error{paid, again, invalid, charged, refunded, readIn, readOut, balance, rebalanced}
	var unknown *connectpsp.UnknownOutcomeError
	if errors.As(paid, &unknown) {
		_, resolved := client.ResolveCashOut(ctx, unknown, request)
		errs = append(errs, resolved)
	}
	recovered, failed := client.Recover(ctx)
	errs = append(errs, failed)
	for _, one := range recovered {
		errs = append(errs, one.Err)
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// reasons is an inbox that records why items are postponed or held.
type reasons struct {
	webhook.Inbox
	all []string
}

func (r *reasons) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	r.all = append(r.all, reason)
	return r.Inbox.Postpone(ctx, claim, due, reason)
}

func (r *reasons) Hold(ctx context.Context, claim *webhook.Claim, reason string) error {
	r.all = append(r.all, reason)
	return r.Inbox.Hold(ctx, claim, reason)
}

// receiveFromMaria lets a Worker confirm a payment with client, and returns the reasons that it
// writes into its inbox.
func receiveFromMaria(t *testing.T, client *connectpsp.Client, logger *slog.Logger) string {
	inbox := &reasons{Inbox: webhook.NewMemoryInbox()}
	handler, err := webhook.NewHandler(inbox, auth.NewSecret(cryptoToken))
	require.NoError(t, err)
	handler.Logger = logger
	for _, body := range []string{
		`{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T14:22:18Z","data":` + cashInWithStatus("PAID") + `}`,
		`{"eventType":"CASHIN_PAID","` + words + `"`,
		`{"eventType":"CASHIN_PAID","data":{"transactionId":"a","amount":"` + words + `"}}`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Connect-Signature", signing.Sign(cryptoToken, body))
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	worker := webhook.NewWorker(inbox, client, func(context.Context, webhook.Transition) error { return nil },
		webhook.WithConfirmation(pix.Centavos(0)), webhook.WithLogger(logger))
	for {
		worked, err := worker.Work(t.Context())
		require.NoError(t, err)
		if !worked {
			return strings.Join(inbox.all, "\n")
		}
	}
}

// assertNothingIsSeen makes calls with a client, prints their errors in every way, and fails if a
// canary is in these, in the log or in the inbox.
func assertNothingIsSeen(t *testing.T, url string, options ...connectpsp.Option) {
	t.Helper()
	log, seen := &logOfAll{}, new(watcher)
	options = append([]connectpsp.Option{connectpsp.WithLogger(log.logger()), connectpsp.WithObserver(seen),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Nanosecond, MaxDelay: time.Nanosecond})}, options...)
	client, err := connectpsp.New(config(url), options...)
	require.NoError(t, err)
	errs := paymentsOfMaria(t.Context(), client)
	require.NotEmpty(t, errs)
	for _, err := range errs {
		assertKeepsSecrets(t, err)
	}
	assert.Empty(t, leaks(receiveFromMaria(t, client, log.logger())), "in the inbox")
	assert.Empty(t, leaks(log.String()), "in the log")
	assert.Empty(t, leaks(fmt.Sprintf("%+v %+v", seen.begun, seen.ended)), "by an observer")
	assert.NotEmpty(t, seen.ended)
	assert.Contains(t, log.String(), "withdrawal-42", "the log is not empty")
	for way, text := range printed(client) {
		assert.Empty(t, leaks(text), "the client as %s", way)
	}
}

// A peer may send anything, and be broken anywhere.
func TestNoSecretAndNoPersonalDataInAnyErrorOrLog(t *testing.T) {
	token := response("200 OK", "application/json", `{"accessToken":"`+accessToken+`","tokenType":"Bearer","expiresIn":3600}`)
	answers := brokenAnswers()
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		for place, routes := range map[string][2]http.HandlerFunc{
			"gateway": {token, answers[name]}, "token endpoint": {answers[name], answers[name]},
		} {
			t.Run(place+"/"+name, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/auth/token" {
						routes[0](w, r)
						return
					}
					routes[1](w, r)
				}))
				defer server.Close()
				assertNothingIsSeen(t, server.URL)
			})
		}
	}
}

func TestThePasswordOfAProxyIsInNoErrorAndNoLog(t *testing.T) {
	through := func(proxy string) connectpsp.Option {
		parsed, err := url.Parse(proxy)
		return connectpsp.WithHTTPClient(&http.Client{Transport: &http.Transport{
			Proxy: func(*http.Request) (*url.URL, error) {
				if err != nil {
					return nil, fmt.Errorf("invalid proxy address %q: %w", proxy, err)
				}
				return parsed, nil
			},
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		}})
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	user := "user:" + proxyPassword + "@"
	proxies := map[string]string{
		"no URL":         "http://" + user + "proxy:port",
		"control":        "http://" + user + "\x7f",
		"refused":        "http://" + user + closed.Listener.Addr().String(),
		"refused, TLS":   "https://" + user + closed.Listener.Addr().String(),
		"refused, SOCKS": "socks5://" + user + closed.Listener.Addr().String(),
		"other scheme":   "ftp://" + user + closed.Listener.Addr().String(),
	}
	for name, answer := range map[string]http.HandlerFunc{
		"407": response("407 Proxy Authentication Required", "text/html", words), "own words": response("502 "+words, "text/html", words),
		"no status line": raw(words + "\r\n\r\n"), "status": raw("HTTP/1.1 " + words + "\r\n\r\n"), "tunnel to rubbish": raw("HTTP/1.1 200 OK\r\n\r\n" + words),
	} {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		for _, scheme := range []string{"http", "https"} {
			proxies[name+", "+scheme] = scheme + "://" + user + server.Listener.Addr().String()
		}
	}
	for name, proxy := range proxies {
		for _, gateway := range []string{memoryURL, closed.URL} {
			t.Run(name+" to "+gateway[:5], func(t *testing.T) {
				t.Parallel()
				assertNothingIsSeen(t, gateway, through(proxy))
			})
		}
	}
}

func TestTheTextOfATransportsErrorIsInNoErrorAndNoLog(t *testing.T) {
	t.Run("transport", func(t *testing.T) {
		assertNothingIsSeen(t, memoryURL, connectpsp.WithHTTPClient(&http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New(words) })}))
	})
	t.Run("token service", func(t *testing.T) {
		server := httptest.NewServer(raw(words))
		defer server.Close()
		assertNothingIsSeen(t, memoryURL, connectpsp.WithTokenSource(tokenService(server.URL)))
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client hangs up
			cancel(errors.New(words))
			<-r.Context().Done()
		}))
		defer server.Close()
		log := &logOfAll{}
		client := newClient(t, server.URL, connectpsp.WithTokenSource(fixedToken(accessToken)), connectpsp.WithLogger(log.logger()))
		errs := paymentsOfMaria(ctx, client)
		require.NotEmpty(t, errs)
		for _, err := range errs {
			assertKeepsSecrets(t, err)
		}
		assert.Empty(t, leaks(log.String()))
	})
}

// Errors of the user's own code may hold anything, and the caller wants to see them.
func TestErrorsOfTheUsersCodeAreReturnedAndNeitherLoggedNorStored(t *testing.T) {
	own := errors.New(words)
	broken := newNotebook()
	for _, step := range []string{"begin", "find", "sent", "finish", "pending", "ended"} {
		broken.fail[step] = own
	}
	for name, option := range map[string]connectpsp.Option{
		"token source": connectpsp.WithTokenSource(brokenTokens{own}),
		"journal":      connectpsp.WithJournal(broken),
	} {
		t.Run(name, func(t *testing.T) {
			log := &logOfAll{}
			client := newClient(t, memoryURL, connectpsp.WithTokenSource(fixedToken(accessToken)), option, connectpsp.WithLogger(log.logger()))
			_, err := client.CreateCashOut(t.Context(), cashOutRequest())
			require.ErrorIs(t, err, own)
			_, _ = client.Recover(t.Context())
			assert.Empty(t, leaks(receiveFromMaria(t, client, log.logger())), "in the inbox")
			assert.Empty(t, leaks(log.String()), "in the log")
		})
	}
}

func TestPrintedConfigsIntentsAndResponsesHoldNoSecretAndNoPersonalData(t *testing.T) {
	cfg, intent := config(memoryURL), left(0)
	response := connectpsp.RawResponse{StatusCode: 200, Header: http.Header{"Set-Cookie": {words}}, Body: []byte(words)}
	for _, value := range []any{cfg, &cfg, cfg.ClientSecret, intent, &intent, []connectpsp.Intent{intent}, response, &response} {
		for way, text := range printed(value) {
			if _, isConfig := value.(connectpsp.Config); !isConfig && (way == "json" || way == "slog") {
				continue // as JSON an Intent is whole, for journals to keep, and so is a response
			}
			assert.Empty(t, leaks(text), "%T as %s", value, way)
		}
	}
	assert.Contains(t, fmt.Sprint(cfg), "[redacted]")
}

// A program may print its client, as part of something else, while calls are made and the token is
// renewed. The race detector fails this test if printing reads a field that a call
// writes.
func TestAClientCanBePrintedWhileItIsUsed(t *testing.T) {
	gateway := newGateway(t, replyJSON(200, balanceAnswer))
	client := gateway.client()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 50 {
			_, err := client.GetBalance(t.Context())
			assert.NoError(t, err)
		}
	}()
	for printing := true; printing; {
		select {
		case <-ended:
			printing = false
		default:
			for way, text := range printed(client) {
				assert.Empty(t, leaks(text), way)
			}
		}
	}
	assert.Regexp(t, `^connectpsp\.Client\(http://127\.0\.0\.1:\d+\)$`, fmt.Sprintf("%#v", client))
}
