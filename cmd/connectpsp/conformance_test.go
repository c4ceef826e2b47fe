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

// openCrediting starts a receiver that uses the SDK, with the credentials of a seed and the sandbox
// on a port, and keeps its inbox. It returns its URL.
func openCrediting(t *testing.T, seed uint64, port string) string {
	box, err := sandbox.Start(sandbox.WithSeed(seed))
	require.NoError(t, err)
	config := box.Config()
	require.NoError(t, box.Close())
	config.BaseURL = "http://127.0.0.1:" + port
	client, err := connectpsp.New(config)
	require.NoError(t, err)
	inbox := webhook.NewMemoryInbox()
	handler, err := webhook.NewHandler(inbox, config.CryptoToken)
	require.NoError(t, err)
	r := &crediting{expected: map[string]pix.Amount{}, credited: map[string]pix.Amount{}}
	server := httptest.NewServer(r.routes(t, handler))
	t.Cleanup(server.Close)
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() { _ = webhook.NewWorker(inbox, client, r.apply).Run(ctx) })
	t.Cleanup(working.Wait)
	t.Cleanup(stop)
	return server.URL
}

func TestAReceiverThatUsesTheSDKConformsAgainWithTheSameInbox(t *testing.T) {
	port := freePort(t)
	url := openCrediting(t, 1, port)
	for range 2 {
		o := (&shell{t: t}).run(conformanceOf(url, port)...)
		assert.Equal(t, exitDone, o.code, o.stdout+o.stderr)
		assert.NotContains(t, o.stdout, "failed")
		assert.GreaterOrEqual(t, strings.Count(o.stdout, "ok "), 12)
	}
}

func TestConformanceStopsAtAReceiverThatCreditsNothing(t *testing.T) {
	port := freePort(t)
	url := openCrediting(t, 2, port)
	for says, args := range map[string][]string{
		"connection refused": conformanceOf("http://127.0.0.1:"+freePort(t), port),
		"responded 401 to a valid event: it must verify signatures with the CryptoToken": conformanceOf(url, port),
		"nowhere: the response was 404 (it must return an amount for every reference":    conformanceOf(url, port, "--credited-url", url+"/{reference}/nowhere"),
		"--expect-url: POST " + url + "/nowhere: the response was 404":                   conformanceOf(url, port, "--expect-url", url+"/nowhere"),
	} {
		t.Run(says, func(t *testing.T) {
			o := (&shell{t: t}).run(args...)
			assert.Equal(t, exitFailed, o.code, o.stderr)
			assert.Contains(t, o.stdout, says)
			assert.Equal(t, 3, strings.Count(o.stdout, "\n"), o.stdout)
			assert.Contains(t, o.stdout, "The other 11 cases were not tested")
		})
	}
}

func TestTheHelpOfConformanceHasTheCredentialsOfTheSandbox(t *testing.T) {
	box, err := sandbox.Start(sandbox.WithSeed(1))
	require.NoError(t, err)
	defer box.Close()
	config := box.Config()
	o := (&shell{t: t}).run("conformance", "--help")
	for _, variable := range []string{
		fmt.Sprint("CONNECTPSP_BASE_URL=http://127.0.0.1:", sandboxPort), "CONNECTPSP_CLIENT_ID=" + config.ClientID,
		"CONNECTPSP_CLIENT_SECRET=" + config.ClientSecret.Reveal(), "CONNECTPSP_APPLICATION_TOKEN=" + config.ApplicationToken.Reveal(),
		"CONNECTPSP_CRYPTO_TOKEN=" + config.CryptoToken.Reveal(),
	} {
		assert.Contains(t, o.stdout, variable+"\n")
	}
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
		"such as http://127.0.0.1:3000/credited/{reference}": {"conformance", "--webhook-url", url},
		"--expect-url": conformanceOf(url, "0", "--expect-url", "here"),
		"--port":       conformanceOf(url, "70000"),
	} {
		o := (&shell{t: t}).run(args...)
		assert.Equal(t, exitUsage, o.code)
		assert.Contains(t, o.stderr, flag)
		assert.Equal(t, 1, strings.Count(o.stderr, "\n"), o.stderr)
	}
}
