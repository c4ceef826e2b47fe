package connectpsp_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func codes(err error) (all []connectpsp.ValidationCode) {
	var one *connectpsp.ValidationError
	var several connectpsp.ValidationErrors
	switch {
	case errors.As(err, &several):
		for _, fault := range several {
			all = append(all, fault.Code)
		}
	case errors.As(err, &one):
		all = append(all, one.Code)
	}
	return all
}

// faultyCalls has a call for each code, and for each of its causes.
var faultyCalls = []struct {
	code connectpsp.ValidationCode
	call faultyCall
}{
	{connectpsp.InvalidAmountTooSmall, cashOut(func(r *connectpsp.CashOutRequest) { r.Amount = pix.Amount{} })},
	{connectpsp.InvalidAmountTooSmall, cashOut(func(r *connectpsp.CashOutRequest) { r.Amount = pix.Centavos(-1) })},
	{connectpsp.InvalidAmountTooLarge, cashOut(func(r *connectpsp.CashOutRequest) { r.Amount = pix.Centavos(1_000_000_000_000) })},
	{connectpsp.InvalidAmountTooSmall, rebalance(-1)},
	{connectpsp.InvalidAmountTooLarge, rebalance(1_000_000_000_000)},
	{connectpsp.InvalidEmpty, cashOut(func(r *connectpsp.CashOutRequest) { r.ExternalReference = "" })},
	{connectpsp.InvalidSpaces, cashOut(func(r *connectpsp.CashOutRequest) { r.ExternalReference = "withdrawal-42 " })},
	{connectpsp.InvalidText, cashOut(func(r *connectpsp.CashOutRequest) { r.ExternalReference = "withdrawal\u200b42" })},
	{connectpsp.InvalidText, cashOut(func(r *connectpsp.CashOutRequest) { r.Description = "sal\xe1rio" })},
	{connectpsp.InvalidEmpty, cashOut(func(r *connectpsp.CashOutRequest) { r.Payee.Name = " " })},
	{connectpsp.InvalidText, cashOut(func(r *connectpsp.CashOutRequest) { r.Payee.Name = "Maria\n" })},

	{connectpsp.InvalidEmpty, document("")},
	{connectpsp.InvalidDocumentPunctuation, document("123.456.789-09")},
	{connectpsp.InvalidDocumentPunctuation, document("123456789-09")},
	{connectpsp.InvalidDocumentCharacter, document("1234567890A")},
	{connectpsp.InvalidDocumentLength, document("1234567890")},
	{connectpsp.InvalidDocumentLowerCase, document("12abc34501de35")},
	{connectpsp.InvalidDocumentLetters, document("12ABC34501DE35")},
	{connectpsp.InvalidDocumentCheckDigits, document("12345678900")},
	{connectpsp.InvalidDocumentFiller, document("11111111111")},

	{connectpsp.InvalidKeyType, key("IBAN", "1")},
	{connectpsp.InvalidEmpty, key(connectpsp.PIXKeyPhone, "")},
	{connectpsp.InvalidKeyLength, key(connectpsp.PIXKeyEmail, strings.Repeat("a", 80)+"@example.com")},
	{connectpsp.InvalidDocumentPunctuation, key(connectpsp.PIXKeyCPF, "123.456.789-09")},
	{connectpsp.InvalidDocumentLength, key(connectpsp.PIXKeyCPF, "1234567890")},
	{connectpsp.InvalidDocumentCheckDigits, key(connectpsp.PIXKeyCNPJ, "00000000000192")},
	{connectpsp.InvalidEmailAt, key(connectpsp.PIXKeyEmail, "maria.example.com")},
	{connectpsp.InvalidEmailName, key(connectpsp.PIXKeyEmail, "joão@example.com")},
	{connectpsp.InvalidEmailDomain, key(connectpsp.PIXKeyEmail, "maria@")},
	{connectpsp.InvalidPhoneCountry, key(connectpsp.PIXKeyPhone, "11987654321")},
	{connectpsp.InvalidPhoneDigits, key(connectpsp.PIXKeyPhone, "+55 11 98765-4321")},
	{connectpsp.InvalidEVP, key(connectpsp.PIXKeyEVP, "123e4567")},
	{connectpsp.InvalidKeySpelling, destination(connectpsp.Destination{
		Type: connectpsp.DestinationPIX, PIXKeyType: connectpsp.PIXKeyEmail, PIXKey: "Maria@example.com",
	})},
	{connectpsp.InvalidNotAllowed, destination(connectpsp.Destination{
		Type: connectpsp.DestinationPIX, PIXKeyType: connectpsp.PIXKeyCPF, PIXKey: "12345678909", BankAccount: &connectpsp.BankAccount{},
	})},
	{connectpsp.InvalidChoice, destination(connectpsp.Destination{Type: "CASH"})},
	{connectpsp.InvalidEmpty, destination(connectpsp.Destination{Type: connectpsp.DestinationBankAccount})},
	{connectpsp.InvalidEmpty, account(func(a *connectpsp.BankAccount) { a.ISPB = "" })},
	{connectpsp.InvalidISPB, account(func(a *connectpsp.BankAccount) { a.ISPB = "1823612" })},
	{connectpsp.InvalidISPB, account(func(a *connectpsp.BankAccount) { a.ISPB = "1823612x" })},
	{connectpsp.InvalidEmpty, account(func(a *connectpsp.BankAccount) { a.Branch = "" })},
	{connectpsp.InvalidAccount, account(func(a *connectpsp.BankAccount) { a.Account = "94771084.0" })},
	{connectpsp.InvalidAccount, account(func(a *connectpsp.BankAccount) { a.Account = strings.Repeat("1", 21) })},

	{connectpsp.InvalidPayee, payeeOf(connectpsp.Holder{Document: othersCPF, AllowUnclear: true}, toAccount)},
	{connectpsp.InvalidPayeeUnclear, payeeOf(connectpsp.Holder{Document: playersCPF}, toAccount)},

	{connectpsp.InvalidURL, webhookURL("/hook")},
	{connectpsp.InvalidURLParts, webhookURL("https://merchant.example/hook#a")},
	{connectpsp.InvalidURLScheme, webhookURL("http://merchant.example/hook")},
	{connectpsp.InvalidURLHost, webhookURL("https://10.0.0.7/hook")},
	{connectpsp.InvalidURLPort, webhookURL("https://merchant.example:0/hook")},

	{connectpsp.InvalidEmpty, read("")},
	{connectpsp.InvalidID, read("a/b")},
	{connectpsp.InvalidNegative, cashIn(func(r *connectpsp.CashInRequest) { r.ExpirationInMinutes = -1 })},
	{connectpsp.InvalidNotAllowed, cashIn(func(r *connectpsp.CashInRequest) { r.Payer.BankData = &connectpsp.BankData{} })},
	{connectpsp.InvalidChoice, refund(connectpsp.RefundRequest{Reason: "BECAUSE"})},

	{connectpsp.InvalidIdempotencyKey, cashOut(nil, connectpsp.WithIdempotencyKey("order-1"))},
	{connectpsp.InvalidNegative, cashOut(nil, connectpsp.WithAttempt(-1))},
	{connectpsp.InvalidOption, cashOut(nil, connectpsp.WithAttempt(1), connectpsp.WithIdempotencyKey("5f0c6a57-6c2b-4a55-9a0b-0b8c6a3f9a11"))},
	{connectpsp.InvalidOption, read(cashInID, connectpsp.WithAttempt(1))},
	{connectpsp.InvalidOption, read(cashInID, connectpsp.WithIdempotencyKey("5f0c6a57-6c2b-4a55-9a0b-0b8c6a3f9a11"))},

	{connectpsp.InvalidOption, cashOut(nil, connectpsp.WithDueBy(time.Unix(0, 0)))},
	{connectpsp.InvalidOption, cashOut(nil, connectpsp.WithDueBy(time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)))},
	{connectpsp.InvalidOption, cashOut(nil, connectpsp.WithDueBy(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)))},
	{connectpsp.InvalidOption, cashOut(nil, connectpsp.WithDueBy(time.Date(9999, 12, 31, 22, 0, 0, 0, time.FixedZone("BRT", -3*60*60))))},
	{connectpsp.InvalidOption, cashOut(nil, connectpsp.WithDueBy(time.Unix(9_400_000_000_000, 0)))},

	{connectpsp.InvalidEmpty, configured(func(c *connectpsp.Config) { c.ClientID = "" })},
	{connectpsp.InvalidCredential, configured(func(c *connectpsp.Config) { c.ClientID = "10 24" })},
	{connectpsp.InvalidEmpty, configured(func(c *connectpsp.Config) { c.ClientSecret = auth.Secret{} })},
	{connectpsp.InvalidCredential, configured(func(c *connectpsp.Config) { c.CryptoToken = auth.NewSecret("crypto token") })},
	{connectpsp.InvalidChoice, configured(func(c *connectpsp.Config) { c.Environment = 7 })},
	{connectpsp.InvalidURL, configured(func(c *connectpsp.Config) { c.BaseURL = "gateway.example" })},
	{connectpsp.InvalidURLParts, configured(func(c *connectpsp.Config) { c.BaseURL = "https://gateway.example?a=b" })},
	{connectpsp.InvalidURLScheme, configured(func(c *connectpsp.Config) { c.BaseURL = "http://gateway.example" })},
	{connectpsp.InvalidNegative, configured(nil, connectpsp.WithReplayWindow(-1))},
	{connectpsp.InvalidNegative, configured(nil, connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: -1}))},
	{connectpsp.InvalidText, configured(nil, connectpsp.WithUserAgent("a\nb"))},
	{connectpsp.InvalidEmpty, configured(nil, connectpsp.WithPayeeCheck(nil))},
	{connectpsp.InvalidOption, configured(nil, requires(connectpsp.Holder{}), requires(connectpsp.Holder{Anyone: true}))},
	{connectpsp.InvalidOption, configured(nil, requires(connectpsp.Holder{}), connectpsp.WithPayeeCheck(nil))},
	{connectpsp.InvalidTransport, configured(nil, connectpsp.WithHTTPClient(&http.Client{Transport: (*http.Transport)(nil)}))},
}

// faultyCall makes a call that fails before anything is sent.
type faultyCall func(*testing.T, *connectpsp.Client) error

func cashOut(spoil func(*connectpsp.CashOutRequest), options ...connectpsp.CallOption) faultyCall {
	return func(t *testing.T, client *connectpsp.Client) error {
		request := cashOutRequest()
		if spoil != nil {
			spoil(&request)
		}
		_, err := client.CreateCashOut(t.Context(), request, options...)
		return err
	}
}

func document(text string) faultyCall {
	return cashOut(func(r *connectpsp.CashOutRequest) { r.Payee.Document = text })
}

func destination(to connectpsp.Destination) faultyCall {
	return cashOut(func(r *connectpsp.CashOutRequest) { r.Payee.Destination = to })
}

func key(keyType connectpsp.PIXKeyType, text string) faultyCall {
	return destination(connectpsp.ToPIXKey(keyType, text))
}

func account(spoil func(*connectpsp.BankAccount)) faultyCall {
	valid := connectpsp.BankAccount{ISPB: "18236120", Branch: "0001", Account: "947710840", AccountType: connectpsp.AccountTypePayment}
	spoil(&valid)
	return destination(connectpsp.ToBankAccount(valid))
}

// payeeOf pays to a destination, and the payee must be a holder.
func payeeOf(holder connectpsp.Holder, to connectpsp.Destination) faultyCall {
	return func(t *testing.T, _ *connectpsp.Client) error {
		request := cashOutRequest()
		request.Payee.Destination = to
		_, err := newGateway(t).memoryClient(requires(holder)).CreateCashOut(t.Context(), request)
		return err
	}
}

func webhookURL(text string) faultyCall {
	return cashOut(func(r *connectpsp.CashOutRequest) { r.WebhookURL = text })
}

func cashIn(spoil func(*connectpsp.CashInRequest)) faultyCall {
	return func(t *testing.T, client *connectpsp.Client) error {
		request := cashInRequest()
		spoil(&request)
		_, err := client.CreateCashIn(t.Context(), request)
		return err
	}
}

func rebalance(centavos int64) faultyCall {
	return func(t *testing.T, client *connectpsp.Client) error {
		_, err := client.RebalanceAccount(t.Context(), pix.Centavos(centavos))
		return err
	}
}

func refund(request connectpsp.RefundRequest) faultyCall {
	return func(t *testing.T, client *connectpsp.Client) error {
		_, err := client.RefundCashIn(t.Context(), cashInID, request)
		return err
	}
}

func read(id string, options ...connectpsp.CallOption) faultyCall {
	return func(t *testing.T, client *connectpsp.Client) error {
		_, err := client.GetCashIn(t.Context(), id, options...)
		return err
	}
}

func configured(spoil func(*connectpsp.Config), options ...connectpsp.Option) faultyCall {
	return func(*testing.T, *connectpsp.Client) error {
		cfg := config("https://gateway.example")
		if spoil != nil {
			spoil(&cfg)
		}
		_, err := connectpsp.New(cfg, options...)
		return err
	}
}

func TestAFaultHasTheCodeOfItsCause(t *testing.T) {
	client := publicClient(t, config(""))
	for i, c := range faultyCalls {
		err := c.call(t, client)
		assert.Equal(t, []connectpsp.ValidationCode{c.code}, codes(err), "call %d: %v", i, err)
		assert.ErrorIs(t, err, connectpsp.ErrNotSent)
	}
}

func TestAllFaultsHaveACode(t *testing.T) {
	_, err := publicClient(t, config("")).CreateCashOut(t.Context(), connectpsp.CashOutRequest{}, connectpsp.WithAttempt(-1))
	assert.Equal(t, []connectpsp.ValidationCode{
		connectpsp.InvalidAmountTooSmall, connectpsp.InvalidEmpty, connectpsp.InvalidEmpty, connectpsp.InvalidEmpty,
		connectpsp.InvalidChoice, connectpsp.InvalidNegative,
	}, codes(err))
}

// What pix knows of a key or a document reaches the person.
func TestTheReasonOfAKeyIsPassedOn(t *testing.T) {
	err := key(connectpsp.PIXKeyPhone, "11987654321")(t, publicClient(t, config("")))
	assert.ErrorContains(t, err, pix.ReasonPhoneCountry.Error())
	for _, text := range constants(t, "../pix/reason.go", "Reason") {
		assert.Contains(t, connectpsp.UserMessages, connectpsp.ValidationCode(text))
	}
}

func TestEveryCodeIsGivenAndHasASentenceInPortuguese(t *testing.T) {
	given := map[connectpsp.ValidationCode]bool{}
	for _, c := range faultyCalls {
		given[c.code] = true
	}
	assert.Len(t, connectpsp.UserMessages, len(constants(t, "validation_code.go", "Invalid")))
	unknown := (&connectpsp.ValidationError{Field: "amount", Reason: "made by hand"}).UserMessage()
	assert.Equal(t, "Este campo não é válido.", unknown)
	for code := range connectpsp.UserMessages {
		assert.True(t, given[code], "no call fails with %s", code)
		assert.Regexp(t, `^[A-Z_]+$`, string(code))
		text := (&connectpsp.ValidationError{Code: code}).UserMessage()
		assert.Regexp(t, `^[A-Z].*[^ ]\.$`, text, code)
		assert.NotEqual(t, unknown, text, code)
	}
}

// constants returns the values of the constants of a file whose names begin with prefix, as they
// are written there.
func constants(t *testing.T, file, prefix string) (values []string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	for _, declaration := range parsed.Decls {
		block, ok := declaration.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		for _, spec := range block.Specs {
			constant := spec.(*ast.ValueSpec)
			if !strings.HasPrefix(constant.Names[0].Name, prefix) {
				continue
			}
			text := ""
			if literal, ok := constant.Values[0].(*ast.BasicLit); ok {
				text, err = strconv.Unquote(literal.Value)
				require.NoError(t, err)
			}
			values = append(values, text)
		}
	}
	require.NotEmpty(t, values)
	return values
}
