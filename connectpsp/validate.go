package connectpsp

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/connectpsp/connectpsp-go/pix"
)

// largestAmount is the most that a PIX message holds, in centavos: R$ 9 999 999 999.99.
const largestAmount = 999_999_999_999

// The check functions collect everything that is wrong with a request. Reasons never repeat a
// value: most are personal data.

func (c *Client) checkCashIn(request CashInRequest) (faults faults) {
	faults.amount("amount", request.Amount)
	faults.reference(request.ExternalReference)
	if request.ExpirationInMinutes < 0 {
		faults.add("expirationInMinutes", InvalidNegative, "must not be negative; zero means the gateway's default of 1440")
	}
	c.checkWebhookURL(&faults, request.WebhookURL)
	faults.text("payer.name", request.Payer.Name)
	faults.document("payer.document", request.Payer.Document)
	if request.Payer.BankData != nil {
		faults.add("payer.bankData", InvalidNotAllowed, "is set by the gateway only")
	}
	if request.OpenFinance != nil && request.OpenFinance.RedirectURL != "" {
		c.checkURL(&faults, "openFinance.redirectUrl", request.OpenFinance.RedirectURL)
	}
	return faults
}

func (c *Client) checkCashOut(request CashOutRequest) (faults faults) {
	faults.amount("amount", request.Amount)
	faults.reference(request.ExternalReference)
	faults.optionalText("description", request.Description)
	c.checkWebhookURL(&faults, request.WebhookURL)
	faults.text("payee.name", request.Payee.Name)
	faults.document("payee.document", request.Payee.Document)
	faults.destination(request.Payee.Destination)
	return faults
}

func checkRefund(id string, request RefundRequest) (faults faults) {
	faults.id(id)
	switch request.Reason {
	case RefundFraud, RefundDuplicatedPayment, RefundCustomerRequest, RefundMerchantError:
	default:
		faults.add("reason", InvalidChoice, "must be FRAUD, DUPLICATED_PAYMENT, CUSTOMER_REQUEST or MERCHANT_ERROR")
	}
	faults.optionalText("description", request.Description)
	return faults
}

func checkRebalance(target pix.Amount) (faults faults) {
	const reason = "must be from 0.00 to 9999999999.99"
	switch n := target.Centavos(); {
	case n < 0:
		faults.add("targetAmount", InvalidAmountTooSmall, reason)
	case n > largestAmount:
		faults.add("targetAmount", InvalidAmountTooLarge, reason)
	}
	return faults
}

func checkID(id string) (faults faults) {
	faults.id(id)
	return faults
}

// id keeps an id within its segment of the path: "..", "a/b" or an empty one would address
// something else.
func (f *faults) id(id string) {
	odd := strings.ContainsFunc(id, func(r rune) bool { return !wordCharacter(r) })
	const reason = "must be 1 to 64 letters, digits, '-' or '_', beginning with a letter or digit"
	switch {
	case id == "":
		f.add("id", InvalidEmpty, reason)
	case len(id) > 64 || id[0] == '-' || id[0] == '_' || odd:
		f.add("id", InvalidID, reason)
	}
}

func (f *faults) amount(field string, amount pix.Amount) {
	const reason = "must be from 0.01 to 9999999999.99"
	switch n := amount.Centavos(); {
	case n < 1:
		f.add(field, InvalidAmountTooSmall, reason)
	case n > largestAmount:
		f.add(field, InvalidAmountTooLarge, reason)
	}
}

func (f *faults) reference(reference string) {
	const reason = "must be printable UTF-8 without spaces around it"
	switch {
	case reference == "":
		f.add("externalReference", InvalidEmpty, "must be set")
	case strings.TrimSpace(reference) != reference:
		f.add("externalReference", InvalidSpaces, reason)
	case !utf8.ValidString(reference) || strings.ContainsFunc(reference, func(r rune) bool { return !unicode.IsPrint(r) }):
		f.add("externalReference", InvalidText, reason)
	}
}

func (f *faults) text(field, text string) {
	if strings.TrimSpace(text) == "" {
		f.add(field, InvalidEmpty, "must be set")
		return
	}
	f.optionalText(field, text)
}

func (f *faults) optionalText(field, text string) {
	if !printable(text) {
		f.add(field, InvalidText, "must be printable UTF-8")
	}
}

// printable reports whether text survives JSON as it is: broken UTF-8 would be replaced, and two
// texts become one.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func (f *faults) document(field, text string) {
	const rule = "must be a CPF (11 digits) or CNPJ (14 digits) without punctuation"
	document, err := pix.ParseDocument(text)
	switch {
	case err != nil:
		reason := reasonOf(err)
		f.add(field, ValidationCode(reason), rule+": "+reason.Error())
	case document.Text() != text:
		f.add(field, InvalidDocumentPunctuation, rule)
	case document.IsAlphanumeric():
		f.add(field, InvalidDocumentLetters, "is a CNPJ with letters, and the gateway documents digits only")
	}
}

// reasonOf returns the reason in an error of pix.ParseDocument or pix.ParseKey.
func reasonOf(err error) (reason pix.Reason) {
	errors.As(err, &reason)
	return reason
}

func (f *faults) destination(destination Destination) {
	const field = "payee.destination."
	switch destination.Type {
	case DestinationPIX:
		key, err := pix.ParseKey(destination.PIXKeyType, destination.PIXKey)
		switch {
		case !knownKeyType(destination.PIXKeyType):
			f.add(field+"pixKeyType", InvalidKeyType, "must be CPF, CNPJ, EMAIL, PHONE or EVP")
		case err != nil:
			reason := reasonOf(err)
			f.add(field+"pixKey", ValidationCode(reason), "is not a valid key of its type: "+reason.Error())
		case key.Text() != destination.PIXKey:
			f.add(field+"pixKey", InvalidKeySpelling,
				"must be as the directory of keys has it: no spaces, e-mail and EVP in lower case (ToPIXKey does that)")
		}
		if destination.BankAccount != nil {
			f.add(field+"bankAccount", InvalidNotAllowed, "must not be set for type PIX")
		}
	case DestinationBankAccount:
		if destination.PIXKey != "" || destination.PIXKeyType != "" {
			f.add(field+"pixKey", InvalidNotAllowed, "must not be set for type BANK_ACCOUNT")
		}
		if destination.BankAccount == nil {
			f.add(field+"bankAccount", InvalidEmpty, "must be set for type BANK_ACCOUNT")
			return
		}
		f.bankAccount(field+"bankAccount.", *destination.BankAccount)
	default:
		f.add(field+"type", InvalidChoice, "must be PIX or BANK_ACCOUNT; use ToPIXKey or ToBankAccount")
	}
}

func knownKeyType(t PIXKeyType) bool {
	switch t {
	case PIXKeyCPF, PIXKeyCNPJ, PIXKeyEmail, PIXKeyPhone, PIXKeyEVP:
		return true
	default:
		return false
	}
}

func (f *faults) bankAccount(field string, account BankAccount) {
	switch {
	case account.ISPB == "":
		f.add(field+"ispb", InvalidEmpty, "must be 8 digits")
	case len(account.ISPB) != 8 || strings.Trim(account.ISPB, "0123456789") != "":
		f.add(field+"ispb", InvalidISPB, "must be 8 digits")
	}
	f.word(field+"branch", account.Branch)
	f.word(field+"account", account.Account)
	f.word(field+"accountType", string(account.AccountType))
}

// word accepts the characters that a bank might use in an account's number or the gateway as its
// type: the contract does not say.
func (f *faults) word(field, text string) {
	const reason = "must be 1 to 20 letters, digits, '-' or '_'"
	switch {
	case text == "":
		f.add(field, InvalidEmpty, reason)
	case len(text) > 20 || strings.ContainsFunc(text, func(r rune) bool { return !wordCharacter(r) }):
		f.add(field, InvalidAccount, reason)
	}
}

func wordCharacter(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-' || r == '_'
}

func (c *Client) checkWebhookURL(faults *faults, text string) {
	if text != "" {
		c.checkURL(faults, "webhookUrl", text)
	}
}

// checkURL holds a URL that is given to the gateway to https on a public name: personal data is
// sent there. When the gateway itself is on loopback, as a sandbox is, or on the private network of
// WithPrivateNetwork, so may the URL be.
func (c *Client) checkURL(faults *faults, field, text string) {
	u, err := url.Parse(text)
	visible := func(r rune) bool { return r > ' ' && r <= '~' && r != '\\' }
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || len(text) > 2048 ||
		strings.ContainsFunc(text, func(r rune) bool { return !visible(r) }):
		faults.add(field, InvalidURL, "must be an absolute URL in visible ASCII, of at most 2048 bytes")
	case u.User != nil || strings.Contains(text, "#"):
		faults.add(field, InvalidURLParts, "must have no user and no fragment")
	case c.isLocal(u.Hostname()) && (u.Scheme == "http" || u.Scheme == "https"):
	case u.Scheme != "https":
		faults.add(field, InvalidURLScheme, "must be https")
	case !publicName(u.Hostname()):
		faults.add(field, InvalidURLHost, "must name a public host, neither an address nor a name of a local network")
	case u.Port() != "" && !validPort(u.Port()):
		faults.add(field, InvalidURLPort, "must have a port from 1 to 65535, or none")
	}
}

func validPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// localNames are the last labels of names that a local network gives.
var localNames = []string{
	"localhost", "localhost4", "localhost6", "localdomain", "localdomain4", "localdomain6", "ip6-localhost", "ip6-loopback", "local",
	"internal", "lan", "arpa",
}

// publicName reports whether a host is written as a name that may be public. An address has many
// spellings, such as 127.1 and 0x7f000001; all of them end in a label that begins with a digit, as
// no top-level domain does.
func publicName(host string) bool {
	labels := strings.Split(strings.ToLower(host), ".")
	for _, label := range labels {
		if strings.Trim(label, "_") == "" || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !wordCharacter(r) }) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return !slices.Contains(localNames, last) && (last[0] < '0' || last[0] > '9')
}

// ValidationError says that a field of a request or of the configuration is not acceptable. Nothing
// was sent, not even a request for a token, and no money moved: correct the field and call again.
//
// Where several fields are wrong the error is a ValidationErrors, in which errors.As finds the
// first.
type ValidationError struct {
	// Field is the path of the field in the description's names, such as
	// "payee.destination.pixKey", or the name of an option or of a Config field.
	Field string
	// Reason states the requirement. It never repeats the value.
	Reason string
	// Code is what exactly is wrong, to translate by; see [ValidationError.UserMessage]. It is
	// empty in an error that was made without one.
	Code ValidationCode
}

func (e *ValidationError) Error() string {
	return "connectpsp: nothing was sent: " + e.Field + ": " + e.Reason
}

// Is reports whether target is [ErrNotSent].
func (e *ValidationError) Is(target error) bool { return target == ErrNotSent }

// ValidationErrors holds every fault of a request that has more than one.
type ValidationErrors []*ValidationError

func (e ValidationErrors) Error() string {
	faults := make([]string, len(e))
	for i, fault := range e {
		faults[i] = fault.Field + ": " + fault.Reason
	}
	return "connectpsp: nothing was sent: " + strings.Join(faults, "; ")
}

// Unwrap returns the faults one by one.
func (e ValidationErrors) Unwrap() []error {
	faults := make([]error, len(e))
	for i, fault := range e {
		faults[i] = fault
	}
	return faults
}

// faults collects the faults of a request.
type faults []*ValidationError

func (f *faults) add(field string, code ValidationCode, reason string) {
	*f = append(*f, &ValidationError{Field: field, Code: code, Reason: reason})
}

func (f faults) err() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return f[0]
	default:
		return ValidationErrors(f)
	}
}
