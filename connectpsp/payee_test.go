package connectpsp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// The player of cashOutRequest, and another person and a company.
const (
	playersCPF = "12345678909"
	othersCPF  = "52998224725"
	someCNPJ   = "11222333000181"
	randomKey  = "123e4567-e89b-12d3-a456-426655440000"
)

// requires returns the option of a check that always gives the same holder.
func requires(holder connectpsp.Holder) connectpsp.Option {
	return connectpsp.WithPayeeCheck(func(context.Context, connectpsp.CashOutRequest) (connectpsp.Holder, error) {
		return holder, nil
	})
}

var toAccount = toAccountNumber("0094771084-0")

func toAccountNumber(number string) connectpsp.Destination {
	return connectpsp.ToBankAccount(connectpsp.BankAccount{
		ISPB: "18236120", Branch: "0001", Account: number, AccountType: connectpsp.AccountTypePayment,
	})
}

func TestAPayoutGoesToTheHolderOnly(t *testing.T) {
	const document, pixKey, bankAccount = "payee.document", "payee.destination.pixKey", "payee.destination.bankAccount"
	own := connectpsp.Holder{Document: playersCPF}
	lenient := connectpsp.Holder{Document: playersCPF, AllowUnclear: true}
	registered := func(branch, number string) connectpsp.Holder {
		return connectpsp.Holder{Document: playersCPF, Accounts: []connectpsp.BankData{
			{ISPB: "60701190", Branch: "1234", Account: "555-1"}, {ISPB: "18236120", Branch: branch, Account: number},
		}}
	}
	allowing := func(holder connectpsp.Holder) connectpsp.Holder {
		holder.AllowUnclear = true
		return holder
	}
	different := func(fields ...string) map[string]connectpsp.ValidationCode {
		return faultsOf(connectpsp.InvalidPayee, fields...)
	}
	unclear := func(fields ...string) map[string]connectpsp.ValidationCode {
		return faultsOf(connectpsp.InvalidPayeeUnclear, fields...)
	}
	othersKey := connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, othersCPF)
	for name, test := range map[string]struct {
		holder   connectpsp.Holder
		document string // the player's if it is empty
		to       connectpsp.Destination
		faults   map[string]connectpsp.ValidationCode // nil if it is paid
	}{
		"own CPF key":                            {own, "", connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, playersCPF), nil},
		"own CPF key, with punctuation":          {connectpsp.Holder{Document: "123.456.789-09"}, "", connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, playersCPF), nil},
		"own CPF key, of a masked document":      {connectpsp.Holder{Document: "***.456.789-**"}, "", connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, playersCPF), nil},
		"own CNPJ key":                           {connectpsp.Holder{Document: someCNPJ}, someCNPJ, connectpsp.ToPIXKey(connectpsp.PIXKeyCNPJ, someCNPJ), nil},
		"another's CPF key":                      {own, "", connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, othersCPF), different(pixKey)},
		"another's CPF key, whatever is allowed": {lenient, "", connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, othersCPF), different(pixKey)},
		"a company's key":                        {own, "", connectpsp.ToPIXKey(connectpsp.PIXKeyCNPJ, someCNPJ), different(pixKey)},
		"another person":                         {own, othersCPF, connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, othersCPF), different(document, pixKey)},
		"another person, own key":                {lenient, othersCPF, connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, playersCPF), different(document)},
		"another person of a masked document": {connectpsp.Holder{Document: "***.456.789-**"}, othersCPF, connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, othersCPF),
			different(document, pixKey)},
		"a document that shows too little": {connectpsp.Holder{Document: "***.***.789-**"}, "", connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, playersCPF),
			unclear(document, pixKey)},
		"a document that shows too little, allowed": {connectpsp.Holder{Document: "***.***.789-**", AllowUnclear: true}, "",
			connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, playersCPF), unclear(document)},
		"no document registered, allowed":             {connectpsp.Holder{AllowUnclear: true}, othersCPF, othersKey, unclear(document)},
		"a registered document with a typo":           {connectpsp.Holder{Document: "12345678900", AllowUnclear: true}, othersCPF, othersKey, unclear(document)},
		"a registered document with a space":          {connectpsp.Holder{Document: playersCPF + " ", AllowUnclear: true}, othersCPF, othersKey, unclear(document)},
		"no document registered, own account":         {connectpsp.Holder{Accounts: registered("1", "947710840").Accounts, AllowUnclear: true}, othersCPF, toAccount, unclear(document)},
		"e-mail":                                      {own, "", connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"), unclear(pixKey)},
		"phone":                                       {own, "", connectpsp.ToPIXKey(connectpsp.PIXKeyPhone, "+5511987654321"), unclear(pixKey)},
		"random key":                                  {own, "", connectpsp.ToPIXKey(connectpsp.PIXKeyEVP, randomKey), unclear(pixKey)},
		"e-mail, allowed":                             {lenient, "", connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"), nil},
		"phone, allowed":                              {lenient, "", connectpsp.ToPIXKey(connectpsp.PIXKeyPhone, "+5511987654321"), nil},
		"random key, allowed":                         {lenient, "", connectpsp.ToPIXKey(connectpsp.PIXKeyEVP, randomKey), nil},
		"e-mail of another":                           {lenient, othersCPF, connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com"), different(document)},
		"registered account":                          {registered("1", "947710840"), "", toAccount, nil},
		"no branch registered":                        {registered("", "94771084-0"), "", toAccount, nil},
		"another account":                             {allowing(registered("1", "947710841")), "", toAccount, different(bankAccount)},
		"another branch":                              {allowing(registered("2", "947710840")), "", toAccount, different(bankAccount)},
		"registered without its check digit":          {registered("1", "94771084"), "", toAccount, unclear(bankAccount)},
		"the last digit of the account, allowed":      {allowing(registered("1", "94771084-3")), "", toAccountNumber("3"), different(bankAccount)},
		"an account with an underline, allowed":       {allowing(registered("1", "94771084-3")), "", toAccountNumber("555_2"), different(bankAccount)},
		"registered without its check digit, allowed": {allowing(registered("1", "94771084")), "", toAccount, nil},
		"no account registered":                       {own, "", toAccount, unclear(bankAccount)},
		"no account registered, allowed":              {lenient, "", toAccount, nil},
		"registered account, another person":          {registered("1", "947710840"), othersCPF, toAccount, different(document)},
		"anyone":                                      {connectpsp.Holder{Anyone: true}, othersCPF, connectpsp.ToPIXKey(connectpsp.PIXKeyCNPJ, someCNPJ), nil},
		"anyone, to an account":                       {connectpsp.Holder{Document: playersCPF, Anyone: true}, othersCPF, toAccount, nil},
		"the zero holder":                             {connectpsp.Holder{}, "", connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, playersCPF), unclear(document, pixKey)},
		"the zero holder, to an account":              {connectpsp.Holder{}, "", toAccount, unclear(document, bankAccount)},
	} {
		t.Run(name, func(t *testing.T) {
			box, book := must(sandbox.Start()), newNotebook()
			defer func() { require.NoError(t, box.Close()) }()
			client := must(connectpsp.New(box.Config(), requires(test.holder), connectpsp.WithJournal(book)))
			request := cashOutRequest()
			request.WebhookURL = ""
			request.Payee.Destination = test.to
			if test.document != "" {
				request.Payee.Document = test.document
			}
			_, err := client.CreateCashOut(t.Context(), request)
			if test.faults == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, connectpsp.ErrNotSent)
			found := map[string]connectpsp.ValidationCode{}
			for i, code := range codes(err) {
				found[fields(err)[i]] = code
			}
			assert.Equal(t, test.faults, found)
			assert.Empty(t, box.Requests(), "not even one for a token")
			assert.Empty(t, book.steps, "nothing in the journal")
			for _, text := range []string{playersCPF, othersCPF, someCNPJ, "94771084", "maria@example.com", "+5511987654321", randomKey} {
				assert.NotContains(t, err.Error(), text)
			}
		})
	}
}

func faultsOf(code connectpsp.ValidationCode, fields ...string) map[string]connectpsp.ValidationCode {
	faults := map[string]connectpsp.ValidationCode{}
	for _, field := range fields {
		faults[field] = code
	}
	return faults
}

func TestNothingIsSentIfThePayeeCheckFails(t *testing.T) {
	failure := errors.New("player Maria Silva, 12345678909, not found in the database of " + clientSecret)
	for name, check := range map[string]func() (connectpsp.Holder, error){
		"an error":                      func() (connectpsp.Holder, error) { return connectpsp.Holder{Anyone: true}, failure },
		"the context has ended":         func() (connectpsp.Holder, error) { return connectpsp.Holder{Anyone: true}, context.DeadlineExceeded },
		"a panic":                       func() (connectpsp.Holder, error) { panic(failure.Error()) },
		"a panic with an error":         func() (connectpsp.Holder, error) { panic(failure) },
		"a panic of the runtime's":      func() (connectpsp.Holder, error) { return *(*connectpsp.Holder)(nil), nil },
		"an error of a broken database": func() (connectpsp.Holder, error) { return connectpsp.Holder{}, errDiskFull },
	} {
		t.Run(name, func(t *testing.T) {
			box, book := must(sandbox.Start()), newNotebook()
			defer func() { require.NoError(t, box.Close()) }()
			client := must(connectpsp.New(box.Config(), connectpsp.WithJournal(book),
				connectpsp.WithPayeeCheck(func(context.Context, connectpsp.CashOutRequest) (connectpsp.Holder, error) { return check() })))
			request := cashOutRequest()
			request.WebhookURL = ""
			_, err := client.CreateCashOut(t.Context(), request)
			require.ErrorIs(t, err, connectpsp.ErrNotSent)
			require.Equal(t, rejected, outcomeOf(err))
			var notSent *connectpsp.APIError
			require.ErrorAs(t, err, &notSent)
			assert.Equal(t, "withdrawal-42", notSent.ExternalReference)
			assertKeepsSecrets(t, err)
			assert.ErrorContains(t, err, "the function of WithPayeeCheck failed")
			if strings.HasPrefix(name, "a panic") {
				assert.ErrorContains(t, err, "payee_test.go:", "where it panicked")
			}
			switch name {
			case "an error":
				assert.ErrorIs(t, err, failure)
			case "the context has ended":
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}
			assert.Empty(t, box.Requests())
			assert.Empty(t, book.steps)

			check = func() (connectpsp.Holder, error) { return connectpsp.Holder{Document: playersCPF}, nil }
			_, err = client.CreateCashOut(t.Context(), request)
			assert.NoError(t, err, "the same request is paid once the function works")
		})
	}
}

// The function may make calls of its own.
func TestAnErrorOfAnotherCallInThePayeeCheckSaysNothingAboutThePayout(t *testing.T) {
	for name, failure := range map[string]error{
		"unknown":           &connectpsp.UnknownOutcomeError{},
		"wrapped":           fmt.Errorf("audit: %w", connectpsp.ErrUnknownOutcome),
		"joined":            errors.Join(errDiskFull, &connectpsp.UnknownOutcomeError{}),
		"a conflict":        &connectpsp.APIError{StatusCode: 409},
		"a refusal":         &connectpsp.APIError{StatusCode: 422, Code: connectpsp.CodeInsufficientFunds},
		"a faulty request":  &connectpsp.ValidationError{Field: "payee " + playersCPF, Reason: playersCPF},
		"a context's error": fmt.Errorf("%w: %w", context.Canceled, &connectpsp.APIError{StatusCode: 409}),
	} {
		gateway := newGateway(t)
		client := gateway.memoryClient(connectpsp.WithPayeeCheck(func(context.Context, connectpsp.CashOutRequest) (connectpsp.Holder, error) {
			return connectpsp.Holder{}, failure
		}))
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		require.ErrorIs(t, err, connectpsp.ErrNotSent, name)
		assert.Equal(t, rejected, outcomeOf(err), name)
		assert.NotErrorIs(t, err, connectpsp.ErrUnknownOutcome, name)
		assert.NotErrorIs(t, err, connectpsp.CodeInsufficientFunds, name)
		assert.NotContains(t, err.Error(), playersCPF, name)
		assert.Empty(t, gateway.requests(), name)
	}
}

// The player may have changed the document since, or the function's database may be down.
func TestAPaymentThatMayHaveBeenMadeIsNotRejectedByThePayeeCheck(t *testing.T) {
	for name, holder := range map[string]func() (connectpsp.Holder, error){
		"another person":     func() (connectpsp.Holder, error) { return connectpsp.Holder{Document: othersCPF}, nil },
		"unclear":            func() (connectpsp.Holder, error) { return connectpsp.Holder{}, nil },
		"the function fails": func() (connectpsp.Holder, error) { return connectpsp.Holder{}, errors.New("Maria Silva is not known") },
		"the function panics": func() (connectpsp.Holder, error) {
			panic("Maria Silva")
		},
	} {
		for state, accept := range map[string]bool{"open": false, "accepted": true} {
			for store, options := range journals {
				t.Run(name+", "+state+", "+store, func(t *testing.T) {
					check := func() (connectpsp.Holder, error) { return connectpsp.Holder{Document: playersCPF}, nil }
					gateway := newGateway(t, redirect(303, "/"), replyJSON(202, cashOutAccepted))
					client := gateway.memoryClient(append(options(t),
						connectpsp.WithPayeeCheck(func(context.Context, connectpsp.CashOutRequest) (connectpsp.Holder, error) { return check() }))...)
					_, err := client.CreateCashOut(t.Context(), cashOutRequest())
					require.Equal(t, unknown, outcomeOf(err))
					doubt := must2(asUnknown(err))
					if accept {
						_, err = client.CreateCashOut(t.Context(), cashOutRequest())
						require.NoError(t, err)
					}
					sent := len(gateway.requests())

					check = holder
					_, err = client.CreateCashOut(t.Context(), cashOutRequest())
					require.Equal(t, unknown, outcomeOf(err))
					assert.NotErrorIs(t, err, connectpsp.ErrNotSent)
					assert.ErrorContains(t, err, "WithPayeeCheck")
					assert.NotContains(t, err.Error(), "it is safe to call again")
					assert.Equal(t, doubt.IdempotencyKey, must2(asUnknown(err)).IdempotencyKey)
					assertKeepsSecrets(t, err)
					assert.Len(t, gateway.requests(), sent)

					other := cashOutRequest()
					other.ExternalReference = "withdrawal-43"
					_, err = client.CreateCashOut(t.Context(), other)
					assert.Equal(t, rejected, outcomeOf(err), "a payment of its own is rejected")
					if !accept {
						settled, err := client.ResolveCashOut(t.Context(), doubt, cashOutRequest())
						require.NoError(t, err, "what was checked before it was sent is settled")
						assert.Equal(t, cashOutID, settled.TransactionID)
					}
				})
			}
		}
	}
}

func TestRecoverSettlesWhatWasCheckedBeforeItWasSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.journal")
	first := must(journal.Open(path))
	_, err := newGateway(t, redirect(303, "/")).memoryClient(connectpsp.WithJournal(first), requires(connectpsp.Holder{Document: playersCPF})).
		CreateCashOut(t.Context(), cashOutRequest())
	require.Equal(t, unknown, outcomeOf(err))
	require.NoError(t, first.Close())

	second := must(journal.Open(path))
	defer func() { require.NoError(t, second.Close()) }()
	client := newGateway(t, replyJSON(202, cashOutAccepted)).memoryClient(connectpsp.WithJournal(second), requires(connectpsp.Holder{}))
	recovered, err := client.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, recovered, 1)
	assert.NoError(t, recovered[0].Err)
}

func TestThePayeeCheckIsCalledOnceForEachCallWithAValidRequest(t *testing.T) {
	var calls atomic.Int32
	type key struct{}
	check := connectpsp.WithPayeeCheck(func(ctx context.Context, request connectpsp.CashOutRequest) (connectpsp.Holder, error) {
		calls.Add(1)
		assert.Equal(t, "of the caller", ctx.Value(key{}))
		assert.Equal(t, "withdrawal-42", request.ExternalReference)
		return connectpsp.Holder{Document: playersCPF}, nil
	})
	client := newGateway(t, html(503), html(503), replyJSON(202, cashOutAccepted)).client(check)
	ctx := context.WithValue(t.Context(), key{}, "of the caller")
	_, err := client.CreateCashOut(ctx, cashOutRequest())
	require.NoError(t, err)
	assert.EqualValues(t, 1, calls.Load(), "not for each attempt")
	_, err = client.CreateCashOut(ctx, cashOutRequest())
	require.NoError(t, err)
	assert.EqualValues(t, 2, calls.Load(), "for a repeated call, too")

	faulty := cashOutRequest()
	faulty.Payee.Name = ""
	_, err = client.CreateCashOut(ctx, faulty)
	require.ErrorContains(t, err, "payee.name")
	_, err = client.CreateCashOut(ctx, cashOutRequest(), connectpsp.WithAttempt(-1))
	require.ErrorContains(t, err, "WithAttempt")
	assert.EqualValues(t, 2, calls.Load(), "not for a call that is faulty without it")
}

// The check compares the payee that is sent.
func TestAPayeeCheckCannotChangeTheRequest(t *testing.T) {
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	client := gateway.memoryClient(connectpsp.WithPayeeCheck(func(_ context.Context, request connectpsp.CashOutRequest) (connectpsp.Holder, error) {
		request.Payee.Destination.BankAccount.Account = "555-1"
		return connectpsp.Holder{Document: playersCPF, Accounts: []connectpsp.BankData{{ISPB: "18236120", Account: "555-1"}}}, nil
	}))
	request := cashOutRequest()
	request.Payee.Destination = connectpsp.ToBankAccount(*toAccount.BankAccount)
	_, err := client.CreateCashOut(t.Context(), request)
	assert.Equal(t, []connectpsp.ValidationCode{connectpsp.InvalidPayee}, codes(err))
	assert.Empty(t, gateway.requests())
}

// Both calls are of one payment, and one of them is being sent.
func TestAPayeeThatIsRefusedWhileAnotherCallSendsIsUnknown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	gateway := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		replyJSON(202, cashOutAccepted)(w, r)
	})
	client := gateway.client(connectpsp.WithPayeeCheck(func(context.Context, connectpsp.CashOutRequest) (connectpsp.Holder, error) {
		if calls.Add(1) == 1 {
			return connectpsp.Holder{Document: playersCPF}, nil
		}
		return connectpsp.Holder{Document: othersCPF}, nil
	}))
	errs := make(chan error, 2)
	go func() {
		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		errs <- err
	}()
	receive(t, entered)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.CreateCashOut(ctx, cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err))
	close(release)
	assert.NoError(t, receive(t, errs))
	_, err = client.CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, unknown, outcomeOf(err), "it was accepted")
}
