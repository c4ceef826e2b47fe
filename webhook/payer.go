package webhook

import (
	"context"
	"errors"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// WithPayerCheck makes the [Worker] compare who paid a charge with who may pay it. Check returns
// the holder who may, such as the player whose deposit it is, by the ExternalReference of the
// charge. The Worker compares charge.Payer with it: the document by [pix.SameHolder] and, if
// holder.Accounts has any, the account by [connectpsp.Holder.MatchAccount].
//
//   - Both are the same: the step is to PAID, as without this option.
//   - One is different: the step is to [StatusPaidByOther], in place of PAID.
//   - Otherwise it is unclear: the step is to [StatusPaidByUnknown], or to PAID if
//     holder.AllowUnclear is set.
//   - The gateway shows no other payer than the holder, and the event shows another than the holder
//     or the gateway: the step is to [StatusPaidByUnknown].
//   - holder.Anyone is set: nothing is compared, and the step is to PAID.
//
// A holder.Document that cannot be compared is an error, also with AllowUnclear, unless
// holder.Anyone is set: the step is retried and, at last, held.
//
// So a function that credits at PAID credits only what passes the check. The other two steps are
// reported once, as PAID is: repeated, reordered and replayed events change nothing, a poll
// finds them too, and a return follows from them. Before either, the Worker reads the charge from
// the gateway and calls check again: a forged event returns no money, and the gateway may know an
// account that the event lacks. While a payment has no end-to-end id, check also tells a second
// payment of the charge, by another payer, from the first: it is held.
//
// The step to PAID is made without a read. An attacker who has your CryptoToken can forge an event
// that names the holder, and the payment of another person is then credited: use
// [WithConfirmation] with a zero [pix.Amount] too. An ALARM is raised only if the gateway is read
// later, and shows another payer.
//
// The provider does not publish whether payer.document in a response is that of the real payer, or
// an echo of the request. Until it does, a document that is the same proves little. An account that
// is different from the registered ones says more, so register accounts. The metric
// connectpsp_webhook_payer_checks_total counts how often the documents are the same and the
// accounts are not.
//
// Check gets the context of the step, so with package sqlstore it can read your tables in the
// step's transaction. Its errors and panics are those of your function: the step is retried and, at
// last, held. Return an error for a charge that you do not know. Goroutines call check
// concurrently.
//
// Give the option to every Worker of an [Inbox]: one without it reports PAID. Before you switch it
// on, every Worker of the inbox must run a version that has WithPayerCheck: an older one does not
// know the statuses, and reports a payment as PAID that is recorded as another person's.
// WithPayerCheck panics if check is nil.
func WithPayerCheck(check func(ctx context.Context, charge *connectpsp.CashIn) (connectpsp.Holder, error)) WorkerOption {
	if check == nil {
		panic("webhook: WithPayerCheck needs a function")
	}
	return func(w *Worker) { w.payerCheck = check }
}

// unchecked is the comparison of an account with a holder that has none registered.
const unchecked = "unchecked"

// payerMatch is the comparison of the payer of a charge with the holder.
type payerMatch struct {
	status            Status // of the step, in place of PAID
	document, account string // as observers see them, empty if nothing was compared
}

var (
	errHolderUnreadable = errors.New("webhook: the Document of the Holder from WithPayerCheck is missing, wrong or masked too far, so the payer " +
		"cannot be compared and nothing was applied: correct it where you have registered it, and the item is retried")
	errNoPayerCheck = errors.New("webhook: the charge is recorded as paid by another or an unknown person, this may be a second payment, and this " +
		"Worker has no WithPayerCheck: give it the option, and the item is retried")
	errSecondPayer = &heldError{"the charge was perhaps paid a second time: the payer check has another result than for the payment that your " +
		"function was called for, their end-to-end ids do not show whether they are one, and it was not called for this one. Look for both payments " +
		"in the account's statement. If there are two, refund or credit the second payment by hand. If there is one, the gateway now knows another " +
		"payer: decide by that. Then dismiss this item"}
	errPayerMismatch = &heldError{"ALARM: the gateway reports another payer than an earlier event, and your function was called with PAID for that " +
		"one. Compare the charge's payer with the holder. If it is another person, take the credit back. If you have not changed the holder's " +
		"document or accounts since, your CryptoToken has leaked: rotate it"}
)

// checkPayer asks the user's function for the holder, and compares the payer of a paid charge with
// it. What the event says of the payer counts too, if the gateway was read: the response may be
// poorer than the event, or an echo of the request.
func (w *Worker) checkPayer(ctx context.Context, f fact) (payerMatch, error) {
	var holder connectpsp.Holder
	err := call(func() (err error) {
		holder, err = w.payerCheck(ctx, f.cashIn)
		return err
	})
	switch {
	case err != nil, holder.Anyone:
		return payerMatch{status: StatusPaid}, err
	case pix.SameHolder(holder.Document, holder.Document) != pix.HolderSame:
		return payerMatch{}, errHolderUnreadable
	}
	match := matchPayer(holder, f.cashIn.Payer)
	if match.status == StatusPaid && f.event != nil {
		stated := f.event.CashIn.Payer
		if matchPayer(holder, stated).status == StatusPaidByOther || areDifferent(stated, f.cashIn.Payer) {
			match.status = StatusPaidByUnknown
		}
	}
	return match, nil
}

// recheckPayer looks at a payment of a charge that is recorded as paid. An end-to-end id that is
// missing may hide a second payment, which must not pass for the first one; and a forged event may
// have named the holder.
func (w *Worker) recheckPayer(ctx context.Context, recorded TransactionState, f fact) error {
	if f.kind != KindCashIn || f.status != StatusPaid || f.kind.rank(recorded.Status) != f.kind.rank(StatusPaid) {
		return nil
	}
	isSame := recorded.PaymentID != "" && recorded.PaymentID == f.paymentID()
	switch {
	case isSame && !f.read:
		return nil
	case w.payerCheck == nil && (isSame || recorded.Status == StatusPaid):
		return nil
	case w.payerCheck == nil:
		return errNoPayerCheck
	}
	payer, err := w.checkPayer(ctx, f)
	switch {
	case err != nil:
		return err
	case recorded.Status == StatusPaid && payer.status != StatusPaidByOther:
		return nil
	case !f.read:
		return errMustRead
	case isSame && recorded.Status == StatusPaid:
		return errPayerMismatch
	case isSame, payer.status == recorded.Status:
		return nil
	default:
		return errSecondPayer
	}
}

// areDifferent reports whether two descriptions of a payer are of different persons or accounts.
func areDifferent(one, other connectpsp.Payer) bool {
	accounts := one.BankData != nil && other.BankData != nil && one.BankData.SameAccount(*other.BankData) == pix.HolderDifferent
	return accounts || pix.SameHolder(one.Document, other.Document) == pix.HolderDifferent
}

func matchPayer(holder connectpsp.Holder, payer connectpsp.Payer) payerMatch {
	document, account := pix.SameHolder(holder.Document, payer.Document), pix.HolderSame
	match := payerMatch{document: document.String(), account: unchecked}
	if len(holder.Accounts) > 0 {
		account = holder.MatchAccount(payer.BankData)
		match.account = account.String()
	}
	switch {
	case document == pix.HolderDifferent || account == pix.HolderDifferent:
		match.status = StatusPaidByOther
	case document == pix.HolderSame && account == pix.HolderSame, holder.AllowUnclear:
		match.status = StatusPaid
	default:
		match.status = StatusPaidByUnknown
	}
	return match
}
