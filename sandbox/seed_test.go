package sandbox_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// wire records the bytes that pass through connections, in both directions.
type wire struct {
	mu    sync.Mutex
	bytes [2]bytes.Buffer // received and sent
}

func (w *wire) record(direction int, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes[direction].Write(data)
}

func (w *wire) all() string { return w.bytes[0].String() + w.bytes[1].String() }

type tapped struct {
	net.Conn
	wire *wire
}

func (c tapped) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	c.wire.record(0, data[:n])
	return n, err
}

func (c tapped) Write(data []byte) (int, error) {
	c.wire.record(1, data) // before the other side can go on
	return c.Conn.Write(data)
}

type tappedListener struct {
	net.Listener
	wire *wire
}

func (l tappedListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	return tapped{connection, l.wire}, err
}

// play makes the calls of a story, and returns the sandbox and the bytes of both wires: that of the
// client and that of the receiver.
func play(t *testing.T, seed uint64, restore []byte, story func(*sandbox.Sandbox, *connectpsp.Client)) (s *sandbox.Sandbox, wires string) {
	t.Helper()
	s, err := sandbox.Start(sandbox.WithSeed(seed), sandbox.WithTime(noon), sandbox.WithMemoryNetwork())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	if restore != nil {
		require.NoError(t, s.Restore(restore))
	}
	var calls, events wire
	listener, err := s.Listen("127.0.0.1:8080")
	require.NoError(t, err)
	refusals := 1
	receiver := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "")
		if refusals > 0 {
			refusals--
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = receiver.Serve(tappedListener{listener, &events}) }()
	httpClient := s.HTTPClient()
	transport := httpClient.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		return tapped{connection, &calls}, err
	}
	client, err := connectpsp.New(s.Config(), connectpsp.WithHTTPClient(httpClient))
	require.NoError(t, err)
	story(s, client)
	require.NoError(t, s.WaitWebhooks(t.Context()))
	require.NoError(t, receiver.Close())
	transport.CloseIdleConnections()
	calls.mu.Lock()
	defer calls.mu.Unlock()
	events.mu.Lock()
	defer events.mu.Unlock()
	return s, calls.all() + events.all()
}

func firstHalf(t *testing.T) func(*sandbox.Sandbox, *connectpsp.Client) {
	return func(s *sandbox.Sandbox, client *connectpsp.Client) {
		for i := range 3 {
			charge, err := client.CreateCashIn(t.Context(), connectpsp.CashInRequest{
				Amount: pix.Centavos(1050), ExternalReference: fmt.Sprint("order-", i), WebhookURL: shopURL,
				Payer: connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
			})
			require.NoError(t, err)
			require.NoError(t, s.PayCashIn(charge.TransactionID))
		}
		require.NoError(t, s.Advance(time.Minute))
	}
}

func secondHalf(t *testing.T) func(*sandbox.Sandbox, *connectpsp.Client) {
	return func(s *sandbox.Sandbox, client *connectpsp.Client) {
		charge := s.CashIns()[1]
		_, err := client.RefundCashIn(t.Context(), charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
		require.NoError(t, err)
		require.NoError(t, s.SettleRefund(charge.TransactionID))
		payment, err := client.CreateCashOut(t.Context(), withdrawal())
		require.NoError(t, err)
		require.NoError(t, s.CompleteCashOut(payment.TransactionID))
		require.NoError(t, s.ReturnCashOutPart(payment.TransactionID, pix.Centavos(1)))
		require.NoError(t, s.Advance(2*time.Hour)) // the token expires
		_, err = client.GetBalance(t.Context())
		require.NoError(t, err)
	}
}

func TestTheSameSeedAndTheSameCallsGiveTheSameBytesOnTheWire(t *testing.T) {
	story := func(s *sandbox.Sandbox, client *connectpsp.Client) { firstHalf(t)(s, client); secondHalf(t)(s, client) }
	one, first := play(t, 7, nil, story)
	_, second := play(t, 7, nil, story)
	assert.Equal(t, first, second)
	assert.Contains(t, first, "Digitalsignature: ")
	assert.Contains(t, first, "X-Connect-Signature: ")
	assert.Contains(t, first, "X-Event-Id: ")
	assert.Contains(t, first, `"accessToken":`)
	assert.Contains(t, first, "Date: Tue, 10 Mar 2026 12:00:00 GMT")
	assert.Equal(t, 2, one.Deliveries()[1].Attempt+one.Deliveries()[0].Attempt)

	other, third := play(t, 8, nil, story)
	assert.NotEqual(t, first, third)
	for _, differs := range [][2]string{
		{one.Config().ClientSecret.Reveal(), other.Config().ClientSecret.Reveal()},
		{one.Config().CryptoToken.Reveal(), other.Config().CryptoToken.Reveal()},
		{one.CashIns()[0].TransactionID, other.CashIns()[0].TransactionID},
		{one.CashOuts()[0].TransactionID, other.CashOuts()[0].TransactionID},
		{one.Deliveries()[0].EventID, other.Deliveries()[0].EventID},
	} {
		assert.NotEqual(t, differs[0], differs[1])
	}
}

func TestTheCredentialsOfASeedComeWithNewIDs(t *testing.T) {
	start := func(option sandbox.Option) *sandbox.Sandbox {
		s, err := sandbox.Start(option, sandbox.WithMemoryNetwork())
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, s.Close()) })
		client, err := connectpsp.New(s.Config(), connectpsp.WithHTTPClient(s.HTTPClient()))
		require.NoError(t, err)
		_, err = client.CreateCashIn(t.Context(), connectpsp.CashInRequest{
			Amount: pix.Centavos(1050), ExternalReference: "order-1", Payer: connectpsp.Payer{Name: "Maria Silva", Document: "12345678909"},
		})
		require.NoError(t, err)
		return s
	}
	credentials := func(s *sandbox.Sandbox) []string {
		c := s.Config()
		return []string{c.ClientID, c.ClientSecret.Reveal(), c.ApplicationToken.Reveal(), c.CryptoToken.Reveal()}
	}
	seeded := start(sandbox.WithSeed(7))
	one, two := start(sandbox.WithCredentialsOf(7)), start(sandbox.WithCredentialsOf(7))
	for range 2 {
		assert.Equal(t, credentials(seeded), credentials(one))
		assert.Equal(t, credentials(seeded), credentials(two))
		seeded.RotateCryptoToken()
		one.RotateCryptoToken()
		two.RotateCryptoToken()
	}
	ids := [3]string{seeded.CashIns()[0].TransactionID, one.CashIns()[0].TransactionID, two.CashIns()[0].TransactionID}
	assert.NotEqual(t, ids[0], ids[1])
	assert.NotEqual(t, ids[0], ids[2])
	assert.NotEqual(t, ids[1], ids[2])
}

func TestASandboxWithTheSameSeedGoesOnFromASnapshotWithTheSameBytes(t *testing.T) {
	first, _ := play(t, 7, nil, firstHalf(t))
	taken, err := first.Snapshot()
	require.NoError(t, err)
	one, wires := play(t, 7, taken, secondHalf(t))
	two, again := play(t, 7, taken, secondHalf(t))
	assert.Equal(t, wires, again)
	end, err := one.Snapshot()
	require.NoError(t, err)
	other, err := two.Snapshot()
	require.NoError(t, err)
	assert.JSONEq(t, string(end), string(other))
}

func TestTheSameSeedAndTheSameCallsOfTheControlAPIGiveTheSameBytesOnTheWire(t *testing.T) {
	play := func(t *testing.T, seed uint64) string {
		s, err := sandbox.Start(sandbox.WithSeed(seed), sandbox.WithTime(noon), sandbox.WithMemoryNetwork())
		require.NoError(t, err)
		defer s.Close()
		var wires [2]wire // of the sandbox and of the receiver
		for n, handler := range []http.Handler{control.New(s), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", "") })} {
			listener, err := s.Listen([]string{controlAddress, "127.0.0.1:8080"}[n])
			require.NoError(t, err)
			server := &http.Server{Handler: handler}
			defer server.Close()
			go func() { _ = server.Serve(tappedListener{listener, &wires[n]}) }()
		}
		shop := &shop{t: t, situations: overHTTP{s, t, s.HTTPClient(), make(map[string]bool)}}
		config := s.Config()
		config.BaseURL = "http://" + controlAddress
		shop.client = shop.clientOf(config)
		over := shop.situations.(overHTTP)
		story := func() {
			require.NoError(t, over.FailWithProbability("getBalance", 0.5, sandbox.TooManyRequests))
			require.NoError(t, over.FailEvery("CASHIN_PAID", 2, sandbox.HoldWebhook))
			require.NoError(t, over.FailNext("CASHOUT_COMPLETED", sandbox.PreviousSignature))
			for range 4 {
				require.NoError(t, over.PayCashIn(shop.charge()))
			}
			payment := shop.payOut()
			require.NoError(t, over.CompleteCashOut(payment))
			require.NoError(t, over.ReturnCashOutPart(payment, pix.Centavos(1)))
			require.NoError(t, over.Redeliver(payment))
			assert.Equal(t, 2, over.ReleaseWebhooksInReverse())
			for range 3 {
				_, _ = shop.client.GetBalance(t.Context()) // half of the requests fail
			}
			require.NoError(t, over.Advance(time.Minute))
			over.RotateCryptoToken()
			require.Error(t, over.CompleteCashOut(payment))
			taken, err := over.Snapshot()
			require.NoError(t, err)
			require.NoError(t, over.Restore(taken))
			for _, path := range []string{"/state", "/credentials", "/requests", "/deliveries", "/cash-ins", "/cash-outs"} {
				over.get(path, nil)
			}
		}
		story()
		over.Reset()
		story()
		require.NoError(t, s.WaitWebhooks(t.Context()))
		over.client.CloseIdleConnections()
		var bytes string
		for n := range wires {
			wires[n].mu.Lock()
			bytes += wires[n].all()
			wires[n].mu.Unlock()
		}
		return bytes
	}
	wires := func(seed uint64) (bytes string) {
		synctest.Test(t, func(t *testing.T) { bytes = play(t, seed) }) // the client pauses in no time
		return bytes
	}
	first := wires(7)
	assert.True(t, first == wires(7), "the same bytes")
	assert.False(t, first == wires(8), "other bytes with another seed")
	assert.Contains(t, first, "X-Connect-Signature: ")
	assert.Contains(t, first, "Date: Tue, 10 Mar 2026 12:01:00 GMT")
	assert.Contains(t, first, `"CONNECTPSP_CRYPTO_TOKEN":`)
	assert.NotContains(t, first, "Date: Sat, 01 Jan 2000", "the clock of the bubble")
}
