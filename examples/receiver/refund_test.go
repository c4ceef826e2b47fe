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
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
	"github.com/connectpsp/connectpsp-go/webhook/sqlinbox"
)

var _ = errors.New

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
	t.Log(err)
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
			time.Sleep(300 * time.Millisecond)
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
	t.Log(err)
	if !errors.Is(err, connectpsp.ErrUnknownOutcome) {
		t.Fatal("this was to be an unknown one")
	}
	var n int
	check(t, s.wallets.db.QueryRowContext(t.Context(), `SELECT count(*) FROM connectpsp_inbox WHERE key LIKE 'READ#REFUND/%'`).Scan(&n))
	if n != 1 {
		t.Error("nobody watches the refund")
	}
}

// The process is killed between the debit and the request; it starts again on the same database.
func TestARefundThatWasKilledBeforeItWasAskedForIsNotForgotten(t *testing.T) {
	s := openShop(t)
	charge := s.charge(t)
	check(t, s.gateway.PayCashIn(charge.TransactionID))
	s.until(t, func(c webhook.WorkerCounts) bool { return c.Applied == 1 })
	check(t, s.wallets.takeOut(t.Context(), reference, charge.TransactionID)) // and here it dies
	again, err := startService(t.Context(), s.gateway.Config(), s.wallets.db, sqlinbox.SQLite)
	check(t, err)
	defer again.stop()
	time.Sleep(2 * time.Second)
	balance, err := again.wallets.balance(t.Context(), customer)
	check(t, err)
	var watched int
	check(t, s.wallets.db.QueryRowContext(t.Context(), `SELECT count(*) FROM connectpsp_inbox WHERE key LIKE 'READ#REFUND/%'`).Scan(&watched))
	got, err := again.client.GetCashIn(t.Context(), charge.TransactionID)
	check(t, err)
	if balance != amount && watched == 0 && got.Status == connectpsp.CashInPaid {
		t.Error("the customer has neither the money nor a refund, and nothing watches")
	}
	_ = pix.Amount{}
}
