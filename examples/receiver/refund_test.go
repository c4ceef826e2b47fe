package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// A customer's browser hangs up just before the refund is sent.
func TestARefundThatWasNotSentIsPutBackAlsoIfTheCallerHasGone(t *testing.T) {
	s := openShop(t)
	charge := s.charge(t)
	check(t, s.gateway.PayCashIn(charge.TransactionID))
	s.until(t, func(c webhook.WorkerCounts) bool { return c.Applied == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	config := s.gateway.Config()
	var err error
	s.client, err = connectpsp.New(config, connectpsp.WithHTTPClient(&http.Client{Transport: hangUp{cancel}}))
	check(t, err)
	err = s.refund(ctx, reference, charge.TransactionID)
	if errors.Is(err, connectpsp.ErrUnknownOutcome) {
		t.Fatal("this was to be a certain one")
	}
	holds(t, s.wallets, amount, 0)
}

type hangUp struct{ cancel func() }

// RoundTrip lets the context end while a token is fetched.
func (h hangUp) RoundTrip(r *http.Request) (*http.Response, error) {
	h.cancel()
	return nil, context.Canceled
}

// The answer does not come in time.
func TestARefundWhoseAnswerDidNotComeInTimeIsWatched(t *testing.T) {
	s := openShop(t)
	charge := s.charge(t)
	check(t, s.gateway.PayCashIn(charge.TransactionID))
	s.until(t, func(c webhook.WorkerCounts) bool { return c.Applied == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	config := s.gateway.Config()
	target, err := url.Parse(config.BaseURL)
	check(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/refund") {
			_, _ = io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done() // the client has gone
			return
		}
		r.Host = target.Host
		proxy.ServeHTTP(w, r)
	}))
	defer slow.Close()
	config.BaseURL = slow.URL
	s.client, err = connectpsp.New(config)
	check(t, err)
	err = s.refund(ctx, reference, charge.TransactionID)
	if !errors.Is(err, connectpsp.ErrUnknownOutcome) {
		t.Fatal("this was to be an unknown one")
	}
	if n := watched(t, s.wallets); n != 1 {
		t.Errorf("%d watch the refund", n)
	}
}

// The process is killed between the debit and the request; it starts again on the same database.
func TestARefundThatWasKilledBeforeItWasAskedForIsNotForgotten(t *testing.T) {
	s := openShop(t)
	charge := s.charge(t)
	check(t, s.gateway.PayCashIn(charge.TransactionID))
	s.until(t, func(c webhook.WorkerCounts) bool { return c.Applied == 1 })
	check(t, s.wallets.takeOut(t.Context(), reference, charge.TransactionID)) // and here it dies
	again, err := startService(t.Context(), s.gateway.Config(), s.wallets.db, sqlstore.SQLite)
	check(t, err)
	defer again.stop()
	holds(t, again.wallets, pix.Amount{}, 0)
	if n := watched(t, s.wallets); n != 1 {
		t.Errorf("%d watch the refund", n)
	}
	check(t, s.gateway.SettleRefund(charge.TransactionID))
	worked := func() uint64 { return s.worker.Counts().Applied + again.worker.Counts().Applied }
	s.until(t, func(webhook.WorkerCounts) bool { return worked() == 2 })
	holds(t, again.wallets, pix.Amount{}, 0)
}

// watched counts the refunds that a worker asks the gateway about.
func watched(t *testing.T, w *wallets) (n int) {
	t.Helper()
	check(t, w.db.QueryRowContext(t.Context(), `SELECT count(*) FROM connectpsp_event WHERE key LIKE 'READ#REFUND/%'`).Scan(&n))
	return n
}
