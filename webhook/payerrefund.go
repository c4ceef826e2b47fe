package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
//   - The client refuses it, for example because it has no CryptoToken: it is held at once.
//   - The charge was paid a second time, or the payer check does not find another person any more:
//     it is held and not asked for, because it could return the other payment.
//   - The charge came back without a refund that the journal knows: it is held, because a part of
//     the money may still be here.
//
// Retry of a held item refunds again: under the next attempt number after a refusal, which the
// gateway may repeat under the old one, and otherwise under the same. Do not refund such a charge
// yourself while its item is not done. A Worker without this option still works on the items that
// others have stored: they have the request. One without [WithPayerCheck] refunds only a payment
// whose end-to-end id is that of the step, and otherwise leaves the item to the others.
//
// The money goes back to the account that it came from. [NewWorker] panics if request.Reason is not
// one of the constants, if request.Description is not printable, or if [WithPayerCheck] is missing.
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
	if description := w.payerRefund.Description; !utf8.ValidString(description) || strings.ContainsFunc(description, unicode.IsControl) {
		panic("webhook: WithPayerRefund needs a Description that is printable UTF-8")
	}
}

// staleAttempts is how often a refund is tried, over a minute, before the gateway counts as
// contradicting an event that said that the charge came back.
const staleAttempts = 7

// refundBody is the body of the item of a refund.
type refundBody struct {
	connectpsp.RefundRequest
	PaymentID string `json:"paymentId,omitzero"` // the end-to-end id of the payment, empty if it was not known
}

// putRefund stores the refund of a charge. The context is that of the step.
func (w *Worker) putRefund(ctx context.Context, transaction, paymentID string) error {
	body, err := json.Marshal(refundBody{*w.payerRefund, paymentID})
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
	errRefundUnread = &heldError{"the request of the automatic refund cannot be read. Look in the account's statement whether the money of the other " +
		"person was returned before. Only if it was not, return it by hand. Then dismiss this item"}
	errRefundNotOther = &heldError{"the recorded state of the charge is not PAID_BY_OTHER, so the automatic refund was not asked for now. Look in the " +
		"account's statement whether the money was returned before. Only if it was not, and it is another person's, return it by hand. Then dismiss " +
		"this item"}
	errRefundOtherNoMore = &heldError{"the payer check does not find another person any more, so the automatic refund was not asked for now. Look in " +
		"the account's statement whether the money was returned before. If it was not, credit it or return it by hand. Then dismiss this item"}
	errRefundSecond = &heldError{"the charge was paid a second time, and an automatic refund may return the wrong payment, so it was not asked for " +
		"now. Look for both payments in the account's statement, and whether one of them was returned before. Only if that of the other person was " +
		"not, return it by hand. Then dismiss this item"}
	errRefundCameBack = &heldError{"the charge came back without a refund that the journal knows, perhaps in part, so the automatic refund was not " +
		"asked for now. Look in the account's statement how much of the payment was returned. If a rest of another person's money is here, return the " +
		"rest by hand. Then dismiss this item"}
	errRefundDoubted = &heldError{"ALARM: an event said that the charge came back, and the gateway reports it as not returned, so the automatic " +
		"refund was not asked for now. Read the charge again. If it is still not REFUNDED, your CryptoToken has leaked: rotate it. Look in the " +
		"account's statement whether the money was returned. Only if it was not, return it by hand. Then dismiss this item"}
	errRefundInvalid = &heldError{"the automatic refund cannot be sent: the client has no CryptoToken, or it refuses the request of " +
		"WithPayerRefund. If no earlier attempt was accepted, the money of another person is still here. Remove the cause, then retry this item"}
	errMustRefund     = errors.New("webhook: the charge must be refunded")
	errRefundUnproven = errors.New("webhook: the automatic refund was not asked for now: this Worker has no WithPayerCheck, and the end-to-end ids do " +
		"not show that the payment is still the one that another person made. Give it the option, and the item is retried")
	errRefundUnknown = errors.New("webhook: the outcome of the automatic refund is unknown, and the same refund is retried: never return the " +
		"money in another way meanwhile")
	errRefundNotMade = errors.New("webhook: the gateway does not refund the payment yet, because its settlement is not recorded")
)

// refundPayer refunds a payment by another person. The charge is read first: it may have come back,
// or may have been paid a second time, and the payer may be known better by now.
func (w *Worker) refundPayer(ctx context.Context, claim *Claim, s *slots, o *observedItem) error {
	number, _, _ := strings.Cut(strings.TrimPrefix(claim.Key, refundMark), "/")
	refusals, err := strconv.Atoi(number)
	_, id, ok := splitTransactionKey(claim.Transaction)
	var refund refundBody
	if err != nil || !ok || json.Unmarshal(claim.Body, &refund) != nil {
		return errRefundUnread
	}
	charge, err := w.fetch(ctx, s, KindCashIn, id, id)
	if err != nil {
		return err
	}
	if err := w.findOrigin(ctx, &charge); err != nil {
		return err
	}
	err = w.inbox.Complete(ctx, claim, func(ctx context.Context, recorded TransactionState) (Result, error) {
		if err := w.judgeRefund(ctx, claim, recorded, charge, refund.PaymentID); err != nil {
			return Result{}, err
		}
		o.endsAs(ProcessingRefunded)
		return Result{State: recorded}, w.watchRefundOf(ctx, recorded, id)
	})
	switch err {
	case errMustRefund:
		err = w.callRefund(ctx, s, id, refund.RefundRequest, refusals)
	case errRefundCameBack:
		return cmp.Or(w.WatchRefund(ctx, id), err) // for the step, whose event may never come
	default:
		return err
	}
	var refusal *connectpsp.APIError
	switch {
	case err == nil:
		o.endsAs(ProcessingRefunded)
		return w.inbox.Complete(ctx, claim, func(ctx context.Context, recorded TransactionState) (Result, error) {
			return Result{State: recorded}, w.watchRefundOf(ctx, recorded, id)
		})
	case errors.Is(err, connectpsp.ErrUnknownOutcome):
		return errRefundUnknown // the client has logged why
	case errors.As(err, new(*connectpsp.ValidationError)):
		return errRefundInvalid
	case errors.As(err, &refusal) && isRefusal(refusal):
		return w.refused(ctx, claim, refusals+1, refusal, o)
	default:
		return safeError("the automatic refund could not be sent", err)
	}
}

// judgeRefund decides whether to refund a charge as the gateway reports it. It returns
// errMustRefund if so, nil if the refund has been made, and otherwise why the item is held or
// retried.
func (w *Worker) judgeRefund(ctx context.Context, claim *Claim, recorded TransactionState, charge fact, paymentID string) error {
	cameBack := charge.status == StatusRefunded
	switch {
	case recorded.Status != "" && KindCashIn.rank(recorded.Status) == 0:
		return newerState(claim)
	case recorded.Status != StatusPaidByOther && recorded.Status != StatusRefunded:
		return errRefundNotOther
	case !same(charge.paymentID(), recorded.PaymentID):
		return errRefundSecond
	case cameBack && charge.origin == connectpsp.RefundRequested:
		return nil
	case cameBack:
		return errRefundCameBack
	case recorded.Status == StatusRefunded && claim.Attempts < staleAttempts:
		return errOutdated // the gateway may report the return late
	case recorded.Status == StatusRefunded:
		return errRefundDoubted
	case charge.status != StatusPaid:
		return errOutdated
	case w.payerCheck != nil:
		payer, err := w.checkPayer(ctx, charge)
		if err == nil && payer.status != StatusPaidByOther {
			err = errRefundOtherNoMore
		}
		return cmp.Or(err, errMustRefund)
	case paymentID == "" || paymentID != charge.paymentID():
		return errRefundUnproven
	default:
		return errMustRefund
	}
}

// watchRefundOf watches a charge whose refund was accepted until that is recorded.
func (w *Worker) watchRefundOf(ctx context.Context, recorded TransactionState, id string) error {
	if recorded.Status == StatusRefunded {
		return nil
	}
	return w.WatchRefund(ctx, id)
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
			"the cause and retry this item, which sends the same request under a new key, or return the money by hand and then dismiss it", labelOf(refusal))
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
