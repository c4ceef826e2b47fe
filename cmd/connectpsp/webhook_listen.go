package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const bodyLimit = 64 << 10 // bytes of a webhook

func (a *app) webhookListen() *cobra.Command {
	var address, target string
	command := leaf("listen", "Receive webhooks, show them and forward them",
		"webhook listen --forward-to http://127.0.0.1:8080/webhooks/connectpsp",
		func(ctx context.Context, _ []string) error { return a.listen(ctx, address, target) })
	command.Long = `Receive webhooks at any path, verify them with CONNECTPSP_CRYPTO_TOKEN and print a line for each.

With --forward-to each is passed on with its bytes and headers, also if its signature is wrong, and
the status of the receiver is passed back. Without it the response is 200, or 401.
With --json each line is an object.

Bodies are not kept, because they are personal data. The sandbox has those that it has sent, with
their headers, on its page and under GET /_sandbox/v1/deliveries.`
	command.Flags().StringVar(&address, "address", "127.0.0.1:4242", "the `ADDRESS` to listen on")
	command.Flags().StringVar(&target, "forward-to", "", "the `URL` of the receiver")
	return command
}

func (a *app) listen(ctx context.Context, address, target string) error {
	secret, err := a.cryptoToken()
	if err != nil {
		return err
	}
	l := &listener{app: a, secret: secret, heard: make(chan struct{})}
	if target != "" {
		u, err := checkURL("--forward-to", target)
		if err != nil {
			return err
		}
		l.proxy = newProxy(u)
	}
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return listenError("--address", err)
	}
	where := "http://" + socket.Addr().String()
	a.say("listening on %s; give webhook URLs that lead there, and stop with Ctrl-C", where)
	silence := time.AfterFunc(a.silence, func() { l.hint(where) })
	defer silence.Stop()
	return serve(ctx, socket, l)
}

// serve serves until ctx ends.
func serve(ctx context.Context, socket net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		// Those who asked it to stop do not wait.
		if err := server.Close(); err != nil {
			return err
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// listener is the receiver of webhook listen.
type listener struct {
	app    *app
	secret auth.Secret
	proxy  *httputil.ReverseProxy // nil if nothing is forwarded

	once  sync.Once
	heard chan struct{} // closed when a request has come
	mu    sync.Mutex    // guards the output
}

// hint says what to check if no request has come.
func (l *listener) hint(where string) {
	select {
	case <-l.heard:
		return
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.app.say("no webhook for %v. Check that the charge or payment was made with a webhookUrl, and that it leads to %s: "+
		"a sandbox reaches this machine only, staging needs a public https address with a tunnel to it", l.app.silence, where)
}

// deliveryLine is the JSON of a delivery.
type deliveryLine struct {
	At time.Time `json:"at"`
	eventResult
	StatusCode int   `json:"statusCode"`
	Forwarded  bool  `json:"forwarded"`
	Duration   int64 `json:"durationInMilliseconds"`
}

// ServeHTTP receives a delivery.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.once.Do(func() { close(l.heard) })
	begun := time.Now()
	line := deliveryLine{At: begun.UTC().Truncate(time.Millisecond), Forwarded: l.proxy != nil}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		line.StatusCode, line.Duration = recorder.status, time.Since(begun).Milliseconds()
		l.print(line, recorder.failure)
	}()
	if err != nil {
		line.Error, line.Forwarded = "the body is larger than 64 KiB, or broke off", false
		recorder.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	line.eventResult = describe(webhook.Parse(body, r.Header, l.secret))
	switch {
	case l.proxy != nil:
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		ctx, cancel := context.WithTimeout(r.Context(), responseTime)
		defer cancel()
		l.proxy.ServeHTTP(recorder, r.WithContext(ctx))
	case !line.Verified:
		recorder.WriteHeader(http.StatusUnauthorized)
	}
}

func (l *listener) print(line deliveryLine, failure string) {
	if failure != "" {
		line.Error = failure
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.app.json {
		_ = l.app.printJSON(line) // there is no other place to say so
		return
	}
	verdict := "verified"
	switch {
	case line.Error != "":
		verdict = line.Error
	case line.Key == "":
		verdict = "verified, and not readable"
	}
	words := []string{line.At.Local().Format("15:04:05 -07:00"), strconv.Itoa(line.StatusCode), fmt.Sprintf("%d ms", line.Duration)}
	for _, word := range []string{line.EventType, line.TransactionID, line.Status, amountOf(line.Amount), verdict} {
		if word != "" {
			words = append(words, oneLine(word))
		}
	}
	fmt.Fprintln(l.app.stdout, strings.Join(words, "  "))
}

// newProxy returns a proxy that sends everything to one URL. It passes a response on when that is
// whole.
func newProxy(target *url.URL) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			to := *target
			r.Out.URL, r.Out.Host = &to, ""
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values, sent := r.In.Header[name]; sent { // ReverseProxy drops them
					r.Out.Header[name] = values
				}
			}
		},
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
		ErrorLog:  log.New(io.Discard, "", 0),
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(io.LimitReader(r.Body, fileLimit+1))
			if err == nil && len(body) > fileLimit {
				err = errors.New("its response is longer than 1 MiB")
			}
			r.Body = struct {
				io.Reader
				io.Closer
			}{bytes.NewReader(body), r.Body}
			return err
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if recorder, ours := w.(*statusRecorder); ours {
				switch ended := r.Context().Err(); {
				case errors.Is(ended, context.DeadlineExceeded):
					recorder.failure = "the receiver did not respond within 5 s, as the gateway demands"
				case ended != nil:
					recorder.failure = "the sender gave up before the receiver responded; the gateway waits for 5 s"
				default:
					recorder.failure = "the receiver did not respond: " + err.Error()
				}
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// statusRecorder records the status of a response, and why there was none to pass on.
type statusRecorder struct {
	http.ResponseWriter
	status  int
	failure string
}

// WriteHeader records the status.
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
