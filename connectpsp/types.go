package connectpsp

import (
	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/pix"
)

// The types of the wire, generated from the description. Field names are the description's in Go case; optional fields are
// plain values whose zero means absent; a pointer stands where the presence of an object means something. Values are not
// shared with the client: do with them what you like, but print none of them: names, documents and keys are in the clear.
type (
	// CashInRequest asks for a charge. Amount, ExternalReference and Payer (Name and Document) are required.
	// ExpirationInMinutes is in minutes, zero means the gateway's default of 1440. OpenFinance, if not nil, selects the
	// OpenFinance flow instead of a QR code. WebhookURL must be https on a public name, or on loopback if the gateway is;
	// without it no event is sent.
	CashInRequest = gen.CashInRequest
	// CashIn is a charge. Times carry the offset the gateway sent, usually −03:00; one that is absent or cannot be read is
	// zero. PIXData is nil in the OpenFinance flow and may be nil when read again later.
	CashIn = gen.CashIn
	// Payer is who pays a charge. Document is a CPF or CNPJ, digits only. BankData comes from the gateway and is nil before
	// the payment settles.
	Payer = gen.Payer
	// BankData is the account that paid.
	BankData = gen.BankData
	// PIXData is what the payer needs: the text of the BR Code and a PNG of it in base64.
	PIXData = gen.PIXData
	// OpenFinance selects the OpenFinance flow. That RedirectURL is its member is assumed, not published.
	OpenFinance = gen.OpenFinance

	// RefundRequest says why a paid charge is returned. Reason is required.
	RefundRequest = gen.RefundRequest
	// Refund is an accepted refund. It is not settled yet: CASHIN_REFUNDED or GetCashIn tells. Fields beyond the
	// identifiers are not published and may be zero.
	Refund = gen.Refund

	// CashOutRequest asks for a payment. Amount, ExternalReference and Payee are required; make the payee's Destination
	// with ToPIXKey or ToBankAccount. WebhookURL is as for a charge: without it, an outcome that is unknown can be settled
	// by calling again only.
	CashOutRequest = gen.CashOutRequest
	// CashOut is a payment sent. Fields that the gateway left out of its answer are zero; right after CreateCashOut that
	// may be all but TransactionID. Failure is not nil only if Status is CashOutFailed.
	CashOut = gen.CashOut
	// Payee is who is paid. Document is a CPF or CNPJ, digits only.
	Payee = gen.Payee
	// Destination is a PIX key or a bank account.
	Destination = gen.Destination
	// BankAccount is an account by its ISPB (eight digits), branch without and account with check digit. All are texts:
	// leading zeros count.
	BankAccount = gen.BankAccount
	// Failure says why a payment failed.
	Failure = gen.Failure

	// Balance holds the balances as sent, in BRL. Consolidated need not be the sum of Banks. ReferenceDate is YYYY-MM-DD;
	// its time zone is not published.
	Balance = gen.Balance
	// ConsolidatedBalance holds the totals over all banks.
	ConsolidatedBalance = gen.ConsolidatedBalance
	// BankBalance holds the balances at one bank.
	BankBalance = gen.BankBalance
	// BankAccounts holds the two accounts at one bank.
	BankAccounts = gen.BankAccounts
	// AccountBalance is one account and what is on it.
	AccountBalance = gen.AccountBalance
	// Rebalance is the gateway's word that the transactional balance was set.
	Rebalance = gen.Rebalance
)

// Open string types: a value the SDK does not know is kept as it came.
type (
	// CashInStatus is the state of a charge.
	CashInStatus = gen.CashInStatus
	// CashOutStatus is the state of a payment.
	CashOutStatus = gen.CashOutStatus
	// RefundReason is why a charge is returned.
	RefundReason = gen.RefundReason
	// DestinationType says whether a Destination is a PIX key or a bank account.
	DestinationType = gen.DestinationType
	// PIXKeyType is the kind of a PIX key.
	PIXKeyType = pix.KeyType
	// AccountType is the kind of a bank account.
	AccountType = gen.BankAccountAccountType
	// FailureCode is why a payment failed.
	FailureCode = gen.FailureCode
)

// States of a charge.
const (
	CashInAwaitingPayment CashInStatus = "AWAITING_PAYMENT"
	CashInPaid            CashInStatus = "PAID"
	CashInExpired         CashInStatus = "EXPIRED"
	CashInRefunded        CashInStatus = "REFUNDED"
	CashInCancelled       CashInStatus = "CANCELLED"
)

// States of a payment.
const (
	CashOutProcessing CashOutStatus = "PROCESSING"
	CashOutCompleted  CashOutStatus = "COMPLETED"
	CashOutFailed     CashOutStatus = "FAILED"
	CashOutRefunded   CashOutStatus = "REFUNDED"
	CashOutCancelled  CashOutStatus = "CANCELLED"
)

// Reasons of a refund.
const (
	RefundFraud             RefundReason = "FRAUD"
	RefundDuplicatedPayment RefundReason = "DUPLICATED_PAYMENT"
	RefundCustomerRequest   RefundReason = "CUSTOMER_REQUEST"
	RefundMerchantError     RefundReason = "MERCHANT_ERROR"
)

// Types of a destination.
const (
	DestinationPIX         DestinationType = "PIX"
	DestinationBankAccount DestinationType = "BANK_ACCOUNT"
)

// Types of a PIX key.
const (
	PIXKeyCPF   = pix.KeyTypeCPF
	PIXKeyCNPJ  = pix.KeyTypeCNPJ
	PIXKeyEmail = pix.KeyTypeEmail
	PIXKeyPhone = pix.KeyTypePhone
	PIXKeyEVP   = pix.KeyTypeEVP
)

// AccountTypePayment is the one account type that is published. Others are sent as they are given.
const AccountTypePayment AccountType = "PAYMENT"

// FailurePIXKeyNotFound is the one failure code that is published.
const FailurePIXKeyNotFound FailureCode = "PIX_KEY_NOT_FOUND"

// ToPIXKey returns the destination of a PIX key. Surrounding spaces are dropped and e-mail addresses and EVP keys are
// written in lower case, as the directory of keys has them; nothing else is changed or guessed. CreateCashOut checks it.
func ToPIXKey(t PIXKeyType, key string) Destination {
	if parsed, err := pix.ParseKey(t, key); err == nil {
		key = parsed.Text()
	}
	return Destination{Type: DestinationPIX, PIXKeyType: t, PIXKey: key}
}

// ToBankAccount returns the destination of a bank account. CreateCashOut checks it.
func ToBankAccount(account BankAccount) Destination {
	return Destination{Type: DestinationBankAccount, BankAccount: &account}
}
