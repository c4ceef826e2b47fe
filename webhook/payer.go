package webhook

import (
	"context"

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
//   - holder.Anyone is set: nothing is compared, and the step is to PAID.
//
// So a function that credits at PAID credits only what passes the check. The other two steps are
// reported once, as PAID is: repeated, reordered and replayed events change nothing, a poll
// finds them too, and a return follows from them. Before either, the Worker reads the charge from
// the gateway and calls check again: a forged event returns no money, and the gateway may know an
// account that the event lacks.
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
// Give the option to every Worker of an [Inbox]: one without it reports PAID. WithPayerCheck panics
// if check is nil.
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

// checkPayer asks the user's function for the holder, and compares the payer of a paid charge with
// it.
func (w *Worker) checkPayer(ctx context.Context, charge *connectpsp.CashIn) (payerMatch, error) {
	var holder connectpsp.Holder
	err := call(func() (err error) {
		holder, err = w.payerCheck(ctx, charge)
		return err
	})
	if err != nil || holder.Anyone {
		return payerMatch{status: StatusPaid}, err
	}
	return matchPayer(holder, charge.Payer), nil
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
