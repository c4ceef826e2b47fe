package webhook_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func (h *house) refund(id string) {
	h.t.Helper()
	_, err := h.running().client.RefundCashIn(h.t.Context(), id, toReturn)
	require.NoError(h.t, err)
}

// credited makes a charge that the player pays, and processes the event.
func (h *house) credited() string {
	h.t.Helper()
	charge := h.charge()
	h.pay(charge, player, playersAccount)
	h.work()
	return charge
}

func TestAnUnrequestedReturnIsMarkedAndARefundOfYoursIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(h *house, charge string)
		steps   string
	}{
		"in full": {func(h *house, charge string) {
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
		}, "PAID>REFUNDED unrequested"},
		"in parts": {func(h *house, charge string) {
			for range 2 {
				require.NoError(h.t, h.gateway.ReturnCashInPart(charge, pix.Centavos(300)))
				h.work()
			}
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
		}, "PAID>REFUNDED unrequested, REFUNDED>REFUNDED unrequested, REFUNDED>REFUNDED unrequested"},
		"found by a poll": {func(h *house, charge string) {
			require.NoError(h.t, h.gateway.FailNext("CASHIN_REFUNDED", sandbox.LoseWebhook))
			require.NoError(h.t, h.running().worker.WatchRefund(h.t.Context(), charge))
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
		}, "PAID>REFUNDED unrequested"},
		"delivered again and again": {func(h *house, charge string) {
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
			for range 3 {
				h.work()
				require.NoError(h.t, h.gateway.Redeliver(charge))
			}
		}, "PAID>REFUNDED unrequested"},
		"a refund": {func(h *house, charge string) {
			h.refund(charge)
		}, "PAID>REFUNDED"},
		"a refund by the internal code": {func(h *house, charge string) {
			found, err := h.gateway.CashIn(charge)
			require.NoError(h.t, err)
			h.refund(found.InternalCode)
		}, "PAID>REFUNDED"},
		"a refund whose outcome is unknown": {func(h *house, charge string) {
			require.NoError(h.t, h.gateway.FailNext("refundCashIn", sandbox.LoseAnswer, sandbox.LoseAnswer, sandbox.LoseAnswer, sandbox.LoseAnswer))
			_, err := h.running().client.RefundCashIn(h.t.Context(), charge, toReturn)
			require.ErrorIs(h.t, err, connectpsp.ErrUnknownOutcome)
		}, "PAID>REFUNDED"},
		"after a refund that was refused": {func(h *house, charge string) {
			require.NoError(h.t, h.gateway.RefuseNext("refundCashIn", 422, "INSUFFICIENT_FUNDS"))
			_, err := h.running().client.RefundCashIn(h.t.Context(), charge, toReturn)
			require.ErrorIs(h.t, err, connectpsp.CodeInsufficientFunds)
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
		}, "PAID>REFUNDED unrequested"},
		"after two hours, which a journal in a file does not remember": {func(h *house, charge string) {
			time.Sleep(2 * time.Hour)
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
		}, "PAID>REFUNDED unclear"},
		"when the journal is lost": {func(h *house, charge string) {
			h.journal = forgetfulJournal{}
			h.start(0)
			require.NoError(h.t, h.gateway.ReturnCashIn(charge))
		}, "PAID>REFUNDED unclear"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *house) {
				c.happens(h, h.credited())
				h.pass(2 * time.Hour)
				assert.Equal(t, ">PAID, "+c.steps, h.stored())
				assert.Empty(t, h.reasons())
			})
		})
	}
}

// forgetfulJournal knows nothing.
type forgetfulJournal struct{ connectpsp.Journal }

func (forgetfulJournal) Find(context.Context, connectpsp.Intent) (*connectpsp.Intent, error) {
	return nil, nil
}

// The gateway returns a charge in full once. If a second return comes, one of the two may be yours.
func TestASecondReturnBesideARefundOfYoursIsUnclear(t *testing.T) {
	r := newReceiver(t)
	r.books.origins = true
	payments, err := journal.Open(t.TempDir() + "/payments.journal")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, payments.Close()) })
	client := r.bank.client(t, connectpsp.WithJournal(payments))
	worker := webhook.NewWorker(r.inbox, client, r.books.apply)
	refund := connectpsp.Intent{Operation: connectpsp.OperationRefundCashIn, ChargeID: chargeID, IdempotencyKey: "3f0c1c0e-58a3-4a7b-8f43-3c1a5f5e0b11",
		ClientID: "1024", BaseURL: "https://gateway.example"}
	_, err = payments.Begin(t.Context(), refund)
	require.NoError(t, err)
	require.NoError(t, payments.Sent(t.Context(), refund.IdempotencyKey, time.Now()))
	second := charge(webhook.StatusRefunded)
	second.returnID = otherID
	for _, body := range []string{paid, refunded, second.event(webhook.CashInRefunded)} {
		require.Equal(t, 200, deliver(r, body))
		worked, err := worker.Work(t.Context())
		require.NoError(t, err)
		require.True(t, worked)
	}
	assert.Equal(t, ">PAID, PAID>REFUNDED, REFUNDED>REFUNDED unclear", r.books.String())
}

func TestAReturnWaitsForAJournalThatIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		charge := h.credited()
		alive := h.journal
		h.journal = brokenJournal{alive}
		h.start(0)
		require.NoError(t, h.gateway.ReturnCashIn(charge))
		h.pass(time.Minute)
		assert.Equal(t, ">PAID", h.stored())
		h.journal = alive
		h.start(0)
		h.pass(time.Hour)
		assert.Equal(t, ">PAID, PAID>REFUNDED unrequested", h.stored())
	})
}

type brokenJournal struct{ connectpsp.Journal }

func (brokenJournal) Find(context.Context, connectpsp.Intent) (*connectpsp.Intent, error) {
	return nil, errDown
}
