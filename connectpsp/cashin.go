package connectpsp

import (
	"context"

	"github.com/connectpsp/connectpsp-go/pix"
)

// CashInRequest asks for a charge; see [Client.CreateCashIn]. Amount, ExternalReference and Payer
// are required. It prints without personal data.
type CashInRequest struct {
	// Amount is how much is charged, from R$ 0.01 to R$ 9,999,999,999.99.
	Amount pix.Amount `json:"amount"`

	// ExpirationInMinutes is how long the charge can be paid, counted by the gateway from when it
	// creates it. Zero leaves it to the gateway, whose default is 1440: a day.
	ExpirationInMinutes int `json:"expirationInMinutes,omitzero"`

	// ExternalReference is your own identifier of the charge, unique within your application:
	// printable, without spaces around it. The idempotency key is derived from it.
	ExternalReference string `json:"externalReference"`

	// OpenFinance selects the OpenFinance flow, also if it points to an empty value. Nil asks for a
	// QR code.
	OpenFinance *OpenFinance `json:"openFinance,omitzero"`

	// Payer is the one who is to pay. Its BankData must be nil.
	Payer Payer `json:"payer"`

	// WebhookURL is where the events of this charge are sent: https on a public name, or on
	// loopback if the gateway is. If it is empty no event is sent.
	WebhookURL string `json:"webhookUrl,omitzero"`
}

// OpenFinance selects the OpenFinance flow; see [CashInRequest]. It prints without the
// URL.
type OpenFinance struct {
	// RedirectURL is where the payer comes back to, by the rules of a WebhookURL; it may be empty.
	// The name of this member is not published in full: test it with the gateway before you rely on
	// it.
	RedirectURL string `json:"redirectUrl,omitzero"`
}

// Payer is the one who pays a charge. It prints without personal data.
type Payer struct {
	// BankData is the account that paid. The gateway sets it when the charge is paid; it is nil
	// before.
	BankData *BankData `json:"bankData,omitzero"`

	// Document is a CPF of 11 or a CNPJ of 14 digits, without punctuation. It is required.
	Document string `json:"document"`

	// Name is the payer's full name. It is required.
	Name string `json:"name"`
}

// BankData is the account that paid a charge. It prints without the account.
type BankData struct {
	// Account is the number of the account; leading zeros count.
	Account string `json:"account,omitzero"`

	// Bank is the name of the bank.
	Bank string `json:"bank,omitzero"`

	// Branch is the number of the branch; leading zeros count.
	Branch string `json:"branch,omitzero"`

	// ISPB names the bank by its eight digits; leading zeros count.
	ISPB string `json:"ispb,omitzero"`
}

// CashIn is a charge, as [Client.CreateCashIn], [Client.GetCashIn] and an event of it tell it. It
// prints without personal data.
//
// Times carry the UTC offset that the gateway sent, usually −03:00. One that is absent or cannot be
// read is zero.
type CashIn struct {
	// TransactionID is the gateway's identifier, the TxId of the charge: about 35 letters and
	// digits. It is not a UUID.
	TransactionID string `json:"transactionId"`

	// InternalCode is the gateway's short identifier, for people.
	InternalCode string `json:"internalCode"`

	// ExternalReference is the request's.
	ExternalReference string `json:"externalReference"`

	// EndToEndID is empty before payment, the payment's (E…) once paid and the refund's (D…) once
	// refunded.
	EndToEndID string `json:"endToEndId,omitzero"`

	// OriginalEndToEndID is the payment's (E…) once EndToEndID holds the refund's. Else it is
	// empty.
	OriginalEndToEndID string `json:"originalEndToEndId,omitzero"`

	// Status is the state of the charge when the gateway responded.
	Status CashInStatus `json:"status"`

	// Amount is how much is charged, in BRL.
	Amount pix.Amount `json:"amount"`

	// Payer is the one who is to pay, or has paid.
	Payer Payer `json:"payer"`

	// PIXData holds the QR code. It is nil in the OpenFinance flow, and may be nil when the charge
	// is read again.
	PIXData *PIXData `json:"pixData,omitzero"`

	// PaymentURL is where to send the payer in the OpenFinance flow. Else it is empty. That it is a
	// member of this name is not published: test it with the gateway before you rely on it.
	PaymentURL string `json:"paymentUrl,omitzero"`

	// RequestedAt is when the charge was created.
	RequestedAt pix.Time `json:"requestedAt,omitzero"`

	// PaidAt is when the charge was paid. It is zero before.
	PaidAt pix.Time `json:"paidAt,omitzero"`

	// RefundedAt is when the money was back with the payer. It is zero before.
	RefundedAt pix.Time `json:"refundedAt,omitzero"`

	// ExpiredAt is when the charge expired unpaid. It is zero if it did not.
	ExpiredAt pix.Time `json:"expiredAt,omitzero"`
}

// ids returns the ids that the charge may be named by. Each may be empty.
func (c *CashIn) ids() []string {
	return []string{c.TransactionID, c.InternalCode, c.EndToEndID, c.OriginalEndToEndID}
}

// PIXData is the QR code of a charge. It prints as neither text nor image.
type PIXData struct {
	// CopyAndPaste is the text of the BR Code ("Copia e Cola"). [pix.ParseBRCode] reads it.
	CopyAndPaste string `json:"copyAndPaste,omitzero"`

	// QRCodeImageBase64 is a PNG of the QR code in base64, without the prefix of a data URL.
	QRCodeImageBase64 string `json:"qrCodeImageBase64,omitzero"`
}

// CashInStatus is the state of a charge. A value without a constant is kept as it came, and is not
// a final one.
type CashInStatus string

const (
	// CashInAwaitingPayment is a charge that can be paid.
	CashInAwaitingPayment CashInStatus = "AWAITING_PAYMENT"
	// CashInPaid is a charge whose payment the banking network has confirmed. It can be refunded.
	CashInPaid CashInStatus = "PAID"
	// CashInExpired is a charge that was not paid in time.
	CashInExpired CashInStatus = "EXPIRED"
	// CashInRefunded is a charge whose money is back with the payer.
	CashInRefunded CashInStatus = "REFUNDED"
	// CashInCancelled is a charge that was cancelled before payment.
	CashInCancelled CashInStatus = "CANCELLED"
)

// CreateCashIn asks for a charge, to be paid by QR code or, if request.OpenFinance is set, through
// OpenFinance. The response's status is usually AWAITING_PAYMENT; the event CASHIN_PAID,
// [Client.WaitCashIn] or [Client.GetCashIn] tells when it is paid.
//
// Its error is a [*ValidationError] or ValidationErrors (nothing was sent), an [*APIError]
// (rejected for certain) or an [*UnknownOutcomeError]: there may be a charge that the payer could
// still pay. The idempotency key is derived from request.ExternalReference. POST /cash-in.
func (c *Client) CreateCashIn(ctx context.Context, request CashInRequest, options ...CallOption) (*CashIn, error) {
	charge := Intent{ExternalReference: request.ExternalReference, Amount: request.Amount}
	return do(ctx, c, createCashIn, charge, request, c.checkCashIn(request), options)
}

// GetCashIn reads a charge by its transaction id, internal code or end-to-end id. Its error is a
// [*ValidationError], an [*APIError] with the gateway's refusal, or says that no response came;
// reading again is always safe. GET /cash-in/{id}.
func (c *Client) GetCashIn(ctx context.Context, id string, options ...CallOption) (*CashIn, error) {
	cashIn, err := do(ctx, c, getCashIn, Intent{TransactionID: id}, nil, checkID(id), options)
	if err == nil {
		// If the journal fails the payment stays open, and is found again.
		_ = c.ReconcileCashIn(ctx, cashIn)
	}
	return cashIn, err
}
