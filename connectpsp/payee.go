package connectpsp

import (
	"context"
	"errors"
	"fmt"

	"github.com/connectpsp/connectpsp-go/internal/redact"
	"github.com/connectpsp/connectpsp-go/pix"
)

// checkPayee compares the payee of a valid request with the holder that the function of
// [WithPayeeCheck] returns. Its error is that function's.
func (c *Client) checkPayee(ctx context.Context, request CashOutRequest) (faults faults, err error) {
	payee := request.Payee
	var account BankData // of the request that is sent, whatever the function does to its own
	if to := payee.Destination.BankAccount; to != nil {
		account = BankData{ISPB: to.ISPB, Branch: to.Branch, Account: to.Account}
	}
	holder, err := c.holderOf(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("the function of WithPayeeCheck failed: %w", err)
	}
	if holder.Anyone {
		return nil, nil
	}
	document := pix.SameHolder(payee.Document, holder.Document)
	// A valid request has the whole document of the payee, so the registered one is at fault.
	if document == pix.HolderUnclear {
		faults.add("payee.document", InvalidPayeeUnclear, "cannot be compared: the Document of the Holder that "+
			"WithPayeeCheck gives is missing, wrong or masked too far, so correct it there (AllowUnclear does not excuse it)")
	} else {
		faults.payee("payee.document", holder, document)
	}
	switch payee.Destination.PIXKeyType {
	case PIXKeyCPF, PIXKeyCNPJ:
		faults.payee("payee.destination.pixKey", holder, pix.SameHolder(payee.Destination.PIXKey, holder.Document))
	case "":
		faults.payee("payee.destination.bankAccount", holder, holder.MatchAccount(&account))
	default: // the key does not show whose it is
		faults.payee("payee.destination.pixKey", holder, pix.HolderUnclear)
	}
	return faults, nil
}

// holderOf calls the user's function. Its error holds no text of the user's: a text that says who
// was not found is personal data. Nor is it the error of another call, which the function may have
// made: that one's outcome is not the payout's.
func (c *Client) holderOf(ctx context.Context, request CashOutRequest) (holder Holder, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = redact.Panic(panicked)
		}
	}()
	holder, err = c.payeeCheck(ctx, request)
	safe := redact.Error(err)
	if refusal := (*APIError)(nil); errors.As(err, &refusal) || errors.Is(err, ErrUnknownOutcome) {
		safe = redact.Text(safe.Error())
	}
	return holder, safe
}

// payee adds the fault of a field that is not the holder's.
func (f *faults) payee(field string, holder Holder, match pix.HolderMatch) {
	switch {
	case match == pix.HolderDifferent:
		f.add(field, InvalidPayee, "must be of the Holder that WithPayeeCheck gives, and is of another person")
	case match == pix.HolderUnclear && !holder.AllowUnclear:
		f.add(field, InvalidPayeeUnclear, "must be of the Holder that WithPayeeCheck gives, and whose it is cannot be told (see AllowUnclear)")
	}
}
