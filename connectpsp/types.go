package connectpsp

import (
	"fmt"
	"log/slog"

	"github.com/connectpsp/connectpsp-go/pix"
)

// The rules of the types of requests and responses.
//
// A field that the gateway left out, sent as null or sent in a form that cannot be read is zero. A
// pointer stands only where the presence of an object means something. Strings that name one of a
// list of values have types of their own, which are open: a value that has no constant here is kept
// as it came.
//
// encoding/json writes these types as the gateway reads them, with all their personal data. Under
// every verb of package fmt, and in log/slog, a type that holds more than amounts prints only the
// identity of a payment: reference, transaction id, status and amount. The rest is personal data,
// or a text in which the gateway may have put some. The fields of a request are in the order in
// which they are sent: the same request gives the same bytes in every version of the SDK, which is
// how the journal and the gateway recognise a call that is repeated.

// PIXKeyType is the kind of a PIX key. It is [pix.KeyType] by another name.
type PIXKeyType = pix.KeyType

const (
	// PIXKeyCPF is a key that is the CPF of its owner: 11 digits.
	PIXKeyCPF = pix.KeyTypeCPF
	// PIXKeyCNPJ is a key that is the CNPJ of its owner: 14 digits.
	PIXKeyCNPJ = pix.KeyTypeCNPJ
	// PIXKeyEmail is an e-mail address, in lower case.
	PIXKeyEmail = pix.KeyTypeEmail
	// PIXKeyPhone is a phone number with + and its country code, such as +5511987654321.
	PIXKeyPhone = pix.KeyTypePhone
	// PIXKeyEVP is a random key: a UUID in lower case.
	PIXKeyEVP = pix.KeyTypeEVP
)

// redacted is printed in place of personal data.
var redacted = slog.StringValue("[redacted]")

// format prints the type of value and its LogValue.
func format(state fmt.State, value slog.LogValuer) {
	_, _ = fmt.Fprintf(state, "%T%v", value, value.LogValue())
}

// identity shows the known part of a payment's identity.
func identity(reference, transactionID, status string, amount pix.Amount) slog.Value {
	var shown []slog.Attr
	show := func(name, text string) {
		if text != "" {
			shown = append(shown, slog.String(name, text))
		}
	}
	show("external_reference", reference)
	show("transaction_id", transactionID)
	show("status", status)
	if !amount.IsZero() {
		shown = append(shown, slog.Any("amount", amount))
	}
	return slog.GroupValue(shown...)
}

// LogValue returns the reference and the amount.
func (r CashInRequest) LogValue() slog.Value { return identity(r.ExternalReference, "", "", r.Amount) }

// Format prints LogValue under every verb.
func (r CashInRequest) Format(state fmt.State, _ rune) { format(state, r) }

// LogValue returns the reference, the transaction id, the status and the amount.
func (c CashIn) LogValue() slog.Value {
	return identity(c.ExternalReference, c.TransactionID, string(c.Status), c.Amount)
}

// Format prints LogValue under every verb.
func (c CashIn) Format(state fmt.State, _ rune) { format(state, c) }

// LogValue returns "[redacted]".
func (Payer) LogValue() slog.Value { return redacted }

// Format prints LogValue under every verb.
func (p Payer) Format(state fmt.State, _ rune) { format(state, p) }

// LogValue returns "[redacted]".
func (BankData) LogValue() slog.Value { return redacted }

// Format prints LogValue under every verb.
func (b BankData) Format(state fmt.State, _ rune) { format(state, b) }

// LogValue returns "[redacted]".
func (PIXData) LogValue() slog.Value { return redacted }

// Format prints LogValue under every verb.
func (p PIXData) Format(state fmt.State, _ rune) { format(state, p) }

// LogValue returns "[redacted]".
func (OpenFinance) LogValue() slog.Value { return redacted }

// Format prints LogValue under every verb.
func (o OpenFinance) Format(state fmt.State, _ rune) { format(state, o) }

// LogValue returns the reason.
func (r RefundRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("reason", string(r.Reason)))
}

// Format prints LogValue under every verb.
func (r RefundRequest) Format(state fmt.State, _ rune) { format(state, r) }

// LogValue returns the reference, the transaction id, the status and the amount.
func (r Refund) LogValue() slog.Value {
	return identity(r.ExternalReference, r.TransactionID, string(r.Status), r.Amount)
}

// Format prints LogValue under every verb.
func (r Refund) Format(state fmt.State, _ rune) { format(state, r) }

// LogValue returns the reference and the amount.
func (r CashOutRequest) LogValue() slog.Value { return identity(r.ExternalReference, "", "", r.Amount) }

// Format prints LogValue under every verb.
func (r CashOutRequest) Format(state fmt.State, _ rune) { format(state, r) }

// LogValue returns the reference, the transaction id, the status and the amount.
func (c CashOut) LogValue() slog.Value {
	return identity(c.ExternalReference, c.TransactionID, string(c.Status), c.Amount)
}

// Format prints LogValue under every verb.
func (c CashOut) Format(state fmt.State, _ rune) { format(state, c) }

// LogValue returns "[redacted]".
func (Payee) LogValue() slog.Value { return redacted }

// Format prints LogValue under every verb.
func (p Payee) Format(state fmt.State, _ rune) { format(state, p) }

// LogValue returns "[redacted]".
func (Destination) LogValue() slog.Value { return redacted }

// Format prints LogValue under every verb.
func (d Destination) Format(state fmt.State, _ rune) { format(state, d) }

// LogValue returns "[redacted]".
func (BankAccount) LogValue() slog.Value { return redacted }

// Format prints LogValue under every verb.
func (b BankAccount) Format(state fmt.State, _ rune) { format(state, b) }

// LogValue returns the code.
func (f Failure) LogValue() slog.Value { return slog.GroupValue(slog.String("code", string(f.Code))) }

// Format prints LogValue under every verb.
func (f Failure) Format(state fmt.State, _ rune) { format(state, f) }

// LogValue returns the totals.
func (b Balance) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Any("totalBalance", b.Consolidated.TotalBalance),
		slog.Any("transactionalBalance", b.Consolidated.TransactionalBalance),
		slog.Any("proprietaryBalance", b.Consolidated.ProprietaryBalance),
	)
}

// Format prints LogValue under every verb.
func (b Balance) Format(state fmt.State, _ rune) { format(state, b) }

// LogValue returns the ISPB of the bank and the balances.
func (b BankBalance) LogValue() slog.Value {
	return slog.GroupValue(slog.String("ispb", b.ISPB), slog.Any("accounts", b.Accounts))
}

// Format prints LogValue under every verb.
func (b BankBalance) Format(state fmt.State, _ rune) { format(state, b) }

// LogValue returns the balances.
func (b BankAccounts) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Any("transactional", b.Transactional),
		slog.Any("proprietary", b.Proprietary),
	)
}

// Format prints LogValue under every verb.
func (b BankAccounts) Format(state fmt.State, _ rune) { format(state, b) }

// LogValue returns the balance.
func (a AccountBalance) LogValue() slog.Value { return slog.GroupValue(slog.Any("balance", a.Balance)) }

// Format prints LogValue under every verb.
func (a AccountBalance) Format(state fmt.State, _ rune) { format(state, a) }

// LogValue returns whether it succeeded.
func (r Rebalance) LogValue() slog.Value { return slog.GroupValue(slog.Bool("success", r.Success)) }

// Format prints LogValue under every verb.
func (r Rebalance) Format(state fmt.State, _ rune) { format(state, r) }
