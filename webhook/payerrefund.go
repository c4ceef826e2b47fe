package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// refundMark begins the keys of items that are automatic refunds. No event type begins with it. The
// number of refusals and the transaction follow.
const refundMark = "REFUND#"

// refundTimeout bounds the call of one refund, with its retries. It leaves room in workTimeout for
// the read before it.
const refundTimeout = time.Minute

// WithPayerRefund makes the [Worker] return every payment that [WithPayerCheck] finds to be another
// person's: each step to [StatusPaidByOther], once and in full. Payments of [StatusPaidByUnknown]
// are never returned automatically.
//
// The refund is an item of the [Inbox]. It is stored together with the step, after your function
// has returned nil, so it survives a crash. The Worker then reads the charge, and calls
// [connectpsp.Client.RefundCashIn] with request, the derived idempotency key and the client's
// journal, outside of any transaction. An accepted refund is watched as by [Worker.WatchRefund].
//
//   - Its outcome is unknown, or it was not sent: the same refund is retried, twenty times over nine
//     hours, and then held for manual review.
//   - The gateway refuses it because the settlement is not recorded yet: it is retried as often,
//     each time under the next attempt number.
//   - The gateway refuses it for another reason: it is held at once. The reason has the gateway's
//     code, and the money is still here.
//   - The charge was paid a second time: it is held, and nothing is refunded, because the refund
//     could return the other payment.
//
// Retry of a held item refunds again: under the next attempt number after a refusal, which the
// gateway may repeat under the old one, and otherwise under the same. Do not refund such a charge
// yourself while its item is not done. A Worker without this option still works on the items that
// others have stored: they have the request.
//
// The money goes back to the account that it came from. [NewWorker] panics if request.Reason is not
// one of the constants, or if [WithPayerCheck] is missing.
func WithPayerRefund(request connectpsp.RefundRequest) WorkerOption {
	return func(w *Worker) { w.payerRefund = &request }
}

func (w *Worker) validatePayerRefund() {
	switch {
	case w.payerRefund == nil:
		return
	case w.payerCheck == nil:
		panic("webhook: WithPayerRefund needs WithPayerCheck")
	}
	switch w.payerRefund.Reason {
	case connectpsp.RefundFraud, connectpsp.RefundDuplicatedPayment, connectpsp.RefundCustomerRequest, connectpsp.RefundMerchantError:
	default:
		panic("webhook: WithPayerRefund needs a Reason that is one of the constants")
	}
}

// putRefund stores the refund of a charge. The context is that of the step.
func (w *Worker) putRefund(ctx context.Context, transaction string) error {
	body, err := json.Marshal(w.payerRefund)
	if err == nil {
		_, err = w.inbox.Put(ctx, refundItem(transaction, 0, body))
	}
	return err
}

// refundItem returns the item of a refund that is due now, after a number of refusals.
func refundItem(transaction string, refusals int, body []byte) Item {
	now := time.Now()
	return Item{Key: refundMark + strconv.Itoa(refusals) + "/" + transaction, Transaction: transaction, Body: body, ReceivedAt: now, Due: now}
}

var (
	errRefundTooOften = &heldError{"the automatic refund was tried 20 times, and its outcome is unknown: the money may be back with the payer, or " +
		"still be here. Read the charge. If it is REFUNDED, dismiss this item. If it is PAID, ask the provider whether a refund is under way. If " +
		"there is none, end the refund in the journal as rejected and retry this item. Never return the money in another way before you know"}
	errRefundUnread = &heldError{"the request of the automatic refund cannot be read, so nothing was returned: the money of another person is still " +
		"here. Return it by hand, then dismiss this item"}
	errRefundNotOther = &heldError{"the recorded state of the charge is not PAID_BY_OTHER, so nothing was returned. Look at the charge and at your " +
		"books: if the money is another person's, return it by hand. Then dismiss this item"}
	errRefundSecond = &heldError{"the charge was paid a second time, and an automatic refund may return the wrong payment, so this item returned " +
		"nothing. Look for both payments in the account's statement, return that of the other person by hand, then dismiss this item"}
	errRefundUnknown = errors.New("webhook: the outcome of the automatic refund is unknown, and the same refund is retried: never return the " +
		"money in another way meanwhile")
	errRefundNotMade = errors.New("webhook: the gateway does not refund the payment yet, because its settlement is not recorded")
)

// refundPayer refunds a payment by another person. The charge is read first: it may have come back,
// or may have been paid a second time.
func (w *Worker) refundPayer(ctx context.Context, claim *Claim, s *slots, o *observedItem) error {
	number, _, _ := strings.Cut(strings.TrimPrefix(claim.Key, refundMark), "/")
	refusals, err := strconv.Atoi(number)
	_, id, ok := splitTransactionKey(claim.Transaction)
	var request connectpsp.RefundRequest
	if err != nil || !ok || json.Unmarshal(claim.Body, &request) != nil {
		return errRefundUnread
	}
	var paymentID string
	err = w.inbox.Complete(ctx, claim, func(_ context.Context, recorded TransactionState) (Result, error) {
		paymentID = recorded.PaymentID
		switch recorded.Status {
		case StatusRefunded:
			o.endsAs(ProcessingRefunded)
			return Result{State: recorded}, nil
		case StatusPaidByOther:
			return Result{}, errMustRead
		default:
			return Result{}, errRefundNotOther
		}
	})
	if err != errMustRead {
		return err
	}
	charge, err := w.fetch(ctx, s, KindCashIn, id, id)
	switch {
	case err != nil:
		return err
	case !same(charge.paymentID(), paymentID):
		return errRefundSecond
	case charge.status != StatusRefunded:
		err = w.callRefund(ctx, s, id, request, refusals)
	}
	var refusal *connectpsp.APIError
	switch {
	case err == nil:
		o.endsAs(ProcessingRefunded)
		return w.inbox.Complete(ctx, claim, func(ctx context.Context, recorded TransactionState) (Result, error) {
			return Result{State: recorded}, w.WatchRefund(ctx, id)
		})
	case errors.Is(err, connectpsp.ErrUnknownOutcome):
		return errRefundUnknown // the client has logged why
	case errors.As(err, &refusal) && isRefusal(refusal):
		return w.refused(ctx, claim, refusals+1, refusal, o)
	default:
		return safeError("the automatic refund could not be sent", err)
	}
}

// callRefund asks for a refund, with a slot for the gateway.
func (w *Worker) callRefund(ctx context.Context, s *slots, id string, request connectpsp.RefundRequest, refusals int) error {
	err := errNoSlot // unless there is a slot
	_ = s.releaseDuring(func() error {
		ctx, cancel := context.WithTimeout(ctx, refundTimeout)
		defer cancel()
		_, err = w.client.RefundCashIn(ctx, id, request, connectpsp.WithAttempt(refusals))
		return err
	})
	return err
}

// isRefusal reports whether an error that is certain is the gateway's decision about the refund. A
// refused token and a 429 are none: the same is retried.
func isRefusal(err *connectpsp.APIError) bool {
	return !errors.Is(err, connectpsp.ErrNotSent) && err.StatusCode != http.StatusUnauthorized && err.StatusCode != http.StatusTooManyRequests
}

// refused ends the item of a refused refund, and puts one with the next attempt number in its
// place: it is due later if the settlement is not recorded yet, or if another process was refused
// and the code is not known here. Otherwise it is held.
func (w *Worker) refused(ctx context.Context, claim *Claim, refusals int, refusal *connectpsp.APIError, o *observedItem) error {
	next := refundItem(claim.Transaction, refusals, claim.Body)
	later := refusals < maxAttempts && (refusal.Code == connectpsp.CodeMissingEndToEndID || refusal.StatusCode == 0)
	if later {
		next.Due = next.ReceivedAt.Add(pauseAfter(refusals))
	} else {
		next.Held = fmt.Sprintf("the gateway refused the automatic refund (%s), and no money moved: the money of another person is still here. Remove "+
			"the cause and retry this item, or return the money by hand and then dismiss it", labelOf(refusal))
	}
	err := w.inbox.Complete(ctx, claim, func(ctx context.Context, recorded TransactionState) (Result, error) {
		_, err := w.inbox.Put(ctx, next)
		return Result{State: recorded}, err
	})
	if err != nil {
		return err
	}
	placed := &Claim{Item: next, Attempts: claim.Attempts}
	if later {
		w.failed.Add(1)
		o.endsAs(ProcessingRetried)
		w.logRetried(ctx, placed, next.Due, errRefundNotMade)
	} else {
		w.held.Add(1)
		o.endsAs(ProcessingHeld)
		w.logHeld(ctx, placed, &heldError{next.Held})
	}
	return nil
}

var codeForm = regexp.MustCompile(`^[A-Z_]{1,64}$`)

// labelOf returns the status and the code of a refusal. A code may be any text of the gateway's, so
// only one in capitals is shown.
func labelOf(refusal *connectpsp.APIError) string {
	if code := string(refusal.Code); codeForm.MatchString(code) {
		return fmt.Sprint(refusal.StatusCode, " ", code)
	}
	return fmt.Sprint(refusal.StatusCode, " and no known code")
}
