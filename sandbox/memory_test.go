package sandbox_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func TestASleepInABubbleMovesAllClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t)
		begun := s.Now()
		open := s.charge()
		assert.Equal(t, time.Now().UTC(), begun)
		time.Sleep(25 * time.Hour)
		assert.Equal(t, begun.Add(25*time.Hour), s.Now())
		charge, err := s.client.GetCashIn(t.Context(), open)
		require.NoError(t, err, "the client has fetched a new token")
		assert.Equal(t, connectpsp.CashInExpired, charge.Status)
		assert.Len(t, s.Requests().ByOperation("authToken"), 2)

		payment := s.payOut() // a webhook that no receiver takes is retried as the time passes
		listener := "http://127.0.0.1:7/"
		require.NoError(t, s.SendWebhook(listener, []byte("{}")))
		require.NoError(t, s.WaitWebhooks(t.Context()))
		deliveries := s.Deliveries()
		assert.Len(t, deliveries, sandbox.MaxAttempts)
		assert.Contains(t, deliveries[0].Error, "nothing listens on 127.0.0.1:7")
		require.NoError(t, s.CompleteCashOut(payment))
		s.do()
		assert.Len(t, s.steps, 1)
	})
}

func TestAListenerOfTheMemoryNetworkHasItsAddressAlone(t *testing.T) {
	s, err := sandbox.Start(sandbox.WithMemoryNetwork())
	require.NoError(t, err)
	defer s.Close()
	for _, wrong := range []string{"", "127.0.0.1", "127.0.0.1:", s.URL()[len("http://"):]} {
		_, err := s.Listen(wrong)
		assert.ErrorIs(t, err, sandbox.ErrInvalid, wrong)
	}
	listener, err := s.Listen("127.0.0.1:80")
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:80", listener.Addr().String())
	assert.Equal(t, "memory", listener.Addr().Network())
	_, err = s.Listen("127.0.0.1:80")
	assert.ErrorIs(t, err, sandbox.ErrInvalid)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:80/", http.NoBody)
	require.NoError(t, err)
	_, err = s.HTTPClient().Do(request)
	assert.ErrorIs(t, err, context.DeadlineExceeded, "nobody accepts")

	require.NoError(t, listener.Close())
	require.NoError(t, listener.Close(), "closing twice")
	_, err = listener.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
	_, err = s.HTTPClient().Get("http://127.0.0.1:80/")
	assert.ErrorContains(t, err, "nothing listens")
	_, err = s.Listen("127.0.0.1:80")
	assert.NoError(t, err, "it is free again")
}

func TestWithoutAMemoryNetworkTheSandboxUsesTheRealOne(t *testing.T) {
	s, err := sandbox.Start()
	require.NoError(t, err)
	defer s.Close()
	listener, err := s.Listen("127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	response, err := s.HTTPClient().Get("http://" + listener.Addr().String())
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, "here", string(body))
	assert.ErrorIs(t, s.SendWebhook("ftp://127.0.0.1/", nil), sandbox.ErrInvalid)
	assert.ErrorIs(t, s.SendWebhook("/hook", nil), sandbox.ErrInvalid)
}
