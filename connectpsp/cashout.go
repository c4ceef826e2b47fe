package connectpsp

import (
	"context"

	"github.com/connectpsp/connectpsp-go/pix"
)

// CashOutRequest asks for a payment; see [Client.CreateCashOut]. Amount, ExternalReference and
// Payee are required. It prints without personal data.
type CashOutRequest struct {
	// Amount is how much is paid, from R$ 0.01 to R$ 9,999,999,999.99.
	Amount pix.Amount `json:"amount"`

	// Description may appear on the payee's statement. It may be empty.
	Description string `json:"description,omitzero"`

	// ExternalReference is your own identifier of the payment, unique within your application:
	// printable, without spaces around it. The idempotency key is derived from it, and the gateway
	// refuses one that it knows with 409.
	ExternalReference string `json:"externalReference"`

	// Payee is the one who is paid.
	Payee Payee `json:"payee"`

	// WebhookURL is where the events of this payment are sent: https on a public name, or on
	// loopback if the gateway is. If it is empty no event is sent, and only calling again settles
	// an outcome that is unknown.
	WebhookURL string `json:"webhookUrl,omitzero"`
}

// Payee is the one who is paid. It prints without personal data.
type Payee struct {
	// Destination is where the money goes. It is required; make it with [ToPIXKey] or
	// [ToBankAccount].
	Destination Destination `json:"destination"`

	// Document is a CPF of 11 or a CNPJ of 14 digits, without punctuation. It is required.
	Document string `json:"document"`

	// Name is the payee's full name. It is required.
	Name string `json:"name"`
}

// Destination is a PIX key or a bank account. It prints as neither.
type Destination struct {
	// BankAccount is set for DestinationBankAccount, and nil for DestinationPIX.
	BankAccount *BankAccount `json:"bankAccount,omitzero"`

	// PIXKey is set for DestinationPIX, in the form that the directory of keys has it in;
	// [ToPIXKey] takes care of that.
	PIXKey string `json:"pixKey,omitzero"`

	// PIXKeyType is the kind of PIXKey. It is never guessed: eleven digits may be a CPF or a phone
	// number.
	PIXKeyType PIXKeyType `json:"pixKeyType,omitzero"`

	// Type says which of the two it is.
	Type DestinationType `json:"type"`
}

// ToPIXKey returns the destination of a PIX key. Surrounding spaces are dropped and e-mail
// addresses and EVP keys are written in lower case, as the directory of keys has them; nothing else
// is changed or guessed. [Client.CreateCashOut] checks it. [pix.KeyCandidates] reads keys as people
// type them.
func ToPIXKey(t PIXKeyType, key string) Destination {
	if parsed, err := pix.ParseKey(t, key); err == nil {
		key = parsed.Text()
	}
	return Destination{Type: DestinationPIX, PIXKeyType: t, PIXKey: key}
}

// ToBankAccount returns the destination of a bank account. [Client.CreateCashOut] checks it.
func ToBankAccount(account BankAccount) Destination {
	return Destination{Type: DestinationBankAccount, BankAccount: &account}
}

// BankAccount is an account to be paid to. All fields are required, and leading zeros count. It
// prints without the account.
type BankAccount struct {
	// Account is the number of the account, with its check digit.
	Account string `json:"account"`

	// AccountType is the kind of the account.
	AccountType AccountType `json:"accountType"`

	// Branch is the number of the branch, without a check digit.
	Branch string `json:"branch"`

	// ISPB names the bank by its eight digits.
	ISPB string `json:"ispb"`
}

// CashOut is a payment, as [Client.CreateCashOut], [Client.GetCashOut] and an event of it tell it.
// It prints without personal data.
//
// A field that the gateway left out is zero; right after [Client.CreateCashOut] that may be every
// field but TransactionID. Times carry the UTC offset that the gateway sent, usually −03:00. Their
// names are not published: use them to show, not to decide.
type CashOut struct {
	// TransactionID is the gateway's identifier, a UUID.
	TransactionID string `json:"transactionId"`

	// InternalCode is the gateway's short identifier, for people.
	InternalCode string `json:"internalCode,omitzero"`

	// ExternalReference is the request's.
	ExternalReference string `json:"externalReference,omitzero"`

	// EndToEndID is the payment's (E…) once completed and the return's (D…) once refunded. Else it
	// is empty.
	EndToEndID string `json:"endToEndId,omitzero"`

	// OriginalEndToEndID is the payment's (E…) once EndToEndID holds the return's. Else it is
	// empty.
	OriginalEndToEndID string `json:"originalEndToEndId,omitzero"`

	// Status is the state of the payment when the gateway responded. [Client.GetCashOut] always
	// returns one.
	Status CashOutStatus `json:"status,omitzero"`

	// Amount is how much is paid, in BRL. Zero means that the gateway does not tell it.
	Amount pix.Amount `json:"amount,omitzero"`

	// Description is the request's.
	Description string `json:"description,omitzero"`

	// Failure says why the payment failed. It is nil unless Status is CashOutFailed.
	Failure *Failure `json:"failure,omitzero"`

	// Payee is the request's.
	Payee Payee `json:"payee,omitzero"`

	// RequestedAt is when the payment was accepted.
	RequestedAt pix.Time `json:"requestedAt,omitzero"`

	// CompletedAt is when the payment was completed. It is zero before.
	CompletedAt pix.Time `json:"completedAt,omitzero"`

	// FailedAt is when the payment failed. It is zero if it did not.
	FailedAt pix.Time `json:"failedAt,omitzero"`

	// RefundedAt is when the money came back. It is zero if it did not.
	RefundedAt pix.Time `json:"refundedAt,omitzero"`

	// CancelledAt is when the payment was cancelled. It is zero if it was not.
	CancelledAt pix.Time `json:"cancelledAt,omitzero"`
}

// Failure is why a payment failed. It prints without the message.
type Failure struct {
	// Code is the reason to program against.
	Code FailureCode `json:"code,omitzero"`

	// Message is the reason in the gateway's words. It may name the payee.
	Message string `json:"message,omitzero"`
}

// CashOutStatus is the state of a payment. A value without a constant is kept as it came, and is
// not a final one.
type CashOutStatus string

const (
	// CashOutProcessing is a payment that was accepted and has not ended.
	CashOutProcessing CashOutStatus = "PROCESSING"
	// CashOutCompleted is a payment that reached the payee. It may still come back.
	CashOutCompleted CashOutStatus = "COMPLETED"
	// CashOutFailed is a payment that was not made; see [CashOut] for the Failure.
	CashOutFailed CashOutStatus = "FAILED"
	// CashOutRefunded is a payment that had completed and came back.
	CashOutRefunded CashOutStatus = "REFUNDED"
	// CashOutCancelled is a payment that was cancelled and not made.
	CashOutCancelled CashOutStatus = "CANCELLED"
)

// DestinationType says whether a [Destination] is a PIX key or a bank account.
type DestinationType string

const (
	// DestinationPIX is a PIX key.
	DestinationPIX DestinationType = "PIX"
	// DestinationBankAccount is a bank account.
	DestinationBankAccount DestinationType = "BANK_ACCOUNT"
)

// AccountType is the kind of a bank account. One without a constant is sent as it is given.
type AccountType string

// AccountTypePayment is a payment account. It is the one kind that is published.
const AccountTypePayment AccountType = "PAYMENT"

// FailureCode is why a payment failed. A value without a constant is kept as it came.
type FailureCode string

// FailurePIXKeyNotFound is a PIX key that the directory does not have. It is the one code that is
// published.
const FailurePIXKeyNotFound FailureCode = "PIX_KEY_NOT_FOUND"

// CreateCashOut sends money to a PIX key or a bank account. The payment is accepted, not completed:
// its status is usually PROCESSING, and the event CASHOUT_COMPLETED or CASHOUT_FAILED,
// [Client.WaitCashOut] or [Client.GetCashOut] tells how it ended.
//
// Its error is one of three, each with a next step of its own:
//   - a [*ValidationError], ValidationErrors or [*APIError]: rejected for certain, no money moved.
//     After correcting the cause the same ExternalReference may be tried again with [WithAttempt].
//   - an [*UnknownOutcomeError], or an [*APIError] that is a conflict; errors.Is(err,
//     ErrUnknownOutcome) tells both and is to be asked first: the payment may have been made.
//     Keep it open, and call again with the same request or wait for its event.
//
// As long as the client or its journal knows of an attempt that left this payment open, only a nil
// error settles it and every other outcome is unknown, for any attempt number, key,
// options and the request of this call. In a new process without a journal that is for the caller
// to know.
//
// The idempotency key is derived from request.ExternalReference, so a program that dies and starts
// again may simply call again with the same request. [WithPayeeCheck] keeps payments from going to
// another person than the player. POST /cash-out, signed.
func (c *Client) CreateCashOut(ctx context.Context, request CashOutRequest, options ...CallOption) (*CashOut, error) {
	payment := Intent{ExternalReference: request.ExternalReference, Amount: request.Amount}
	return do(ctx, c, createCashOut, payment, request, c.checkCashOut(request), options)
}

// GetCashOut reads a payment by its transaction id, internal code or end-to-end id. Its error is a
// [*ValidationError], an [*APIError] with the gateway's refusal, or says that no response came;
// reading again is always safe. GET /cash-out/{id}.
func (c *Client) GetCashOut(ctx context.Context, id string, options ...CallOption) (*CashOut, error) {
	cashOut, err := do(ctx, c, getCashOut, Intent{TransactionID: id}, nil, checkID(id), options)
	if err == nil {
		// If the journal fails the payment stays open, and is found again.
		_ = c.ReconcileCashOut(ctx, cashOut)
	}
	return cashOut, err
}
