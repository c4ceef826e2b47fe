package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func freePort(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// crediting is a receiver in another process. Over HTTP it takes expected charges, and returns
// credited amounts.
type crediting struct {
	mu       sync.Mutex
	expected map[string]pix.Amount
	credited map[string]pix.Amount
}

func (r *crediting) routes(t *testing.T, hooks http.Handler) http.Handler {
	routes := http.NewServeMux()
	routes.Handle("POST /hooks", hooks)
	routes.HandleFunc("POST /expect", func(_ http.ResponseWriter, request *http.Request) {
		var charge struct {
			ExternalReference string
			Amount            pix.Amount
		}
		assert.NoError(t, json.NewDecoder(request.Body).Decode(&charge))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.expected[charge.ExternalReference] = charge.Amount
	})
	routes.HandleFunc("GET /credited/{reference}", func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		fmt.Fprintln(w, r.credited[request.PathValue("reference")])
	})
	return routes
}

// apply is the function of a Worker.
func (r *crediting) apply(_ context.Context, step webhook.Transition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reference := step.CashIn.ExternalReference; step.To == webhook.StatusPaid && r.expected[reference] == step.CashIn.Amount {
		r.credited[reference] = step.CashIn.Amount
	}
	return nil
}

func conformanceOf(url, port string, more ...string) []string {
	return append([]string{"conformance", "--webhook-url", url + "/hooks", "--credited-url", url + "/credited/{reference}",
		"--expect-url", url + "/expect", "--port", port}, more...)
}

func TestAReceiverThatUsesTheSDKConforms(t *testing.T) {
	box, err := sandbox.Start(sandbox.WithSeed(1))
	require.NoError(t, err)
	config := box.Config()
	require.NoError(t, box.Close())
	port := freePort(t)
	config.BaseURL = "http://127.0.0.1:" + port
	client, err := connectpsp.New(config)
	require.NoError(t, err)
	inbox := webhook.NewMemoryInbox()
	handler, err := webhook.NewHandler(inbox, config.CryptoToken)
	require.NoError(t, err)
	r := &crediting{expected: map[string]pix.Amount{}, credited: map[string]pix.Amount{}}
	server := httptest.NewServer(r.routes(t, handler))
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() { _ = webhook.NewWorker(inbox, client, r.apply).Run(ctx) })
	defer working.Wait()
	defer stop()
	o := (&shell{t: t}).run(conformanceOf(server.URL, port)...)
	assert.Equal(t, exitDone, o.code, o.stdout+o.stderr)
	assert.NotContains(t, o.stdout, "failed")
	assert.GreaterOrEqual(t, strings.Count(o.stdout, "ok "), 12)
}

func TestANaiveReceiverIsToldWhatItDoesWrong(t *testing.T) {
	r := &crediting{expected: map[string]pix.Amount{}, credited: map[string]pix.Amount{}}
	server := httptest.NewServer(r.routes(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
		var event struct {
			Data struct {
				ExternalReference string
				Amount            pix.Amount
			}
		}
		_ = json.NewDecoder(request.Body).Decode(&event)
		r.mu.Lock()
		defer r.mu.Unlock()
		sum, err := r.credited[event.Data.ExternalReference].Add(event.Data.Amount)
		assert.NoError(t, err)
		r.credited[event.Data.ExternalReference] = sum
	})))
	defer server.Close()
	o := (&shell{t: t}).run(conformanceOf(server.URL, "0", "--json")...)
	assert.Equal(t, exitFailed, o.code, o.stderr)
	var result struct {
		Cases  []conformanceResult
		Failed int
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout), &result))
	assert.GreaterOrEqual(t, result.Failed, 5)
	assert.Contains(t, o.stdout, "an event whose amount was changed after it was signed")
}

func TestConformanceNamesTheFlagThatIsWrong(t *testing.T) {
	const url = "http://127.0.0.1:1"
	for flag, args := range map[string][]string{
		"--webhook-url":  {"conformance", "--credited-url", url + "/{reference}"},
		"--credited-url": {"conformance", "--webhook-url", url, "--credited-url", url},
		"--expect-url":   conformanceOf(url, "0", "--expect-url", "here"),
		"--port":         conformanceOf(url, "70000"),
	} {
		o := (&shell{t: t}).run(args...)
		assert.Equal(t, exitUsage, o.code)
		assert.Contains(t, o.stderr, flag)
		assert.Equal(t, 1, strings.Count(o.stderr, "\n"), o.stderr)
	}
}
