package connectpsp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// publicClient returns a client for an address that is not loopback. A call must fail before any
// request, even for a token.
func publicClient(t *testing.T, cfg connectpsp.Config) *connectpsp.Client {
	gateway := newGateway(t)
	t.Cleanup(func() { assert.Zero(t, gateway.tokenRequests(), "a token was asked for") })
	cfg.BaseURL = memoryURL
	return must(connectpsp.New(cfg, memory(gateway)))
}

func TestAnInvalidCashOutNamesTheField(t *testing.T) {
	type request = connectpsp.CashOutRequest
	account := connectpsp.BankAccount{ISPB: "18236120", Branch: "0001", Account: "947710840", AccountType: connectpsp.AccountTypePayment}
	amount := func(centavos int64) func(*request) { return func(r *request) { r.Amount = pix.Centavos(centavos) } }
	reference := func(text string) func(*request) { return func(r *request) { r.ExternalReference = text } }
	description := func(text string) func(*request) { return func(r *request) { r.Description = text } }
	url := func(text string) func(*request) { return func(r *request) { r.WebhookURL = text } }
	name := func(text string) func(*request) { return func(r *request) { r.Payee.Name = text } }
	document := func(text string) func(*request) { return func(r *request) { r.Payee.Document = text } }
	to := func(d connectpsp.Destination) func(*request) { return func(r *request) { r.Payee.Destination = d } }
	bank := func(change func(*connectpsp.BankAccount)) func(*request) {
		changed := account
		change(&changed)
		return to(connectpsp.ToBankAccount(changed))
	}
	cases := []struct {
		field string
		spoil func(*request)
	}{
		{"amount", amount(0)},
		{"amount", amount(-1)},
		{"amount", amount(1_000_000_000_000)},
		{"externalReference", reference("")},
		{"externalReference", reference(" a")},
		{"externalReference", reference("a\nb")},
		{"externalReference", reference("a\xffb")},
		{"externalReference", reference("a\u200bb")},
		{"externalReference", reference("a\u202eb")},
		{"externalReference", reference("pedido-\xe9")},
		{"description", description("a\x00b")},
		{"description", description("sal\xe1rio")},
		{"webhookUrl", url("http://merchant.example/hook")},
		{"webhookUrl", url("https://localhost/hook")},
		{"webhookUrl", url("https://10.0.0.7/hook")},
		{"webhookUrl", url("https://[::1]/hook")},
		{"webhookUrl", url("https://user:word@merchant.example/hook")},
		{"webhookUrl", url("https://merchant.example/hook#a")},
		{"webhookUrl", url("/hook")},
		{"webhookUrl", url("https://merchant.example/" + strings.Repeat("a", 2048))},
		{"payee.name", name(" ")},
		{"payee.name", name("Maria\r\n")},
		{"payee.name", name("Jos\xe9")}, // JSON would send another name
		{"payee.document", document("12345678901")},
		{"payee.document", document("123.456.789-09")},
		{"payee.document", document("12ABC34501DE35")},
		{"payee.destination.type", to(connectpsp.Destination{})},
		{"payee.destination.pixKeyType", to(connectpsp.ToPIXKey("IBAN", "1"))},
		{"payee.destination.pixKey", to(connectpsp.ToPIXKey(connectpsp.PIXKeyPhone, "11987654321"))},
		{"payee.destination.pixKey", to(connectpsp.Destination{Type: connectpsp.DestinationPIX, PIXKeyType: connectpsp.PIXKeyEmail, PIXKey: "A@b.example"})},
		{"payee.destination.pixKey", to(connectpsp.Destination{Type: connectpsp.DestinationBankAccount, PIXKey: "a", BankAccount: &account})},
		{"payee.destination.bankAccount", func(r *request) { r.Payee.Destination.BankAccount = &account }},
		{"payee.destination.bankAccount", to(connectpsp.Destination{Type: connectpsp.DestinationBankAccount})},
		{"payee.destination.bankAccount.ispb", bank(func(b *connectpsp.BankAccount) { b.ISPB = "1823612" })},
		{"payee.destination.bankAccount.branch", bank(func(b *connectpsp.BankAccount) { b.Branch = "" })},
		{"payee.destination.bankAccount.account", bank(func(b *connectpsp.BankAccount) { b.Account = "12 34" })},
		{"payee.destination.bankAccount.accountType", bank(func(b *connectpsp.BankAccount) { b.AccountType = "" })},
	}
	client := publicClient(t, config(""))
	for _, c := range cases {
		request := cashOutRequest()
		c.spoil(&request)
		_, err := client.CreateCashOut(t.Context(), request)
		assert.Equal(t, []string{c.field}, fields(err), "%v", err)
		assert.NotContains(t, err.Error(), "12345678909")
	}
}

func TestAnInvalidCashInNamesTheField(t *testing.T) {
	client := publicClient(t, config(""))
	for _, c := range []struct {
		field string
		spoil func(*connectpsp.CashInRequest)
	}{
		{"amount", func(r *connectpsp.CashInRequest) { r.Amount = pix.Amount{} }},
		{"externalReference", func(r *connectpsp.CashInRequest) { r.ExternalReference = "" }},
		{"expirationInMinutes", func(r *connectpsp.CashInRequest) { r.ExpirationInMinutes = -1 }},
		{"webhookUrl", func(r *connectpsp.CashInRequest) { r.WebhookURL = "ftp://merchant.example" }},
		{"payer.name", func(r *connectpsp.CashInRequest) { r.Payer.Name = "" }},
		{"payer.document", func(r *connectpsp.CashInRequest) { r.Payer.Document = "" }},
		{"payer.bankData", func(r *connectpsp.CashInRequest) { r.Payer.BankData = &connectpsp.BankData{} }},
		{"openFinance.redirectUrl", func(r *connectpsp.CashInRequest) {
			r.OpenFinance = &connectpsp.OpenFinance{RedirectURL: "http://merchant.example"}
		}},
	} {
		request := cashInRequest()
		c.spoil(&request)
		_, err := client.CreateCashIn(t.Context(), request)
		assert.Equal(t, []string{c.field}, fields(err), "%v", err)
	}
}

// An address of a private network has many spellings, and a gateway that fetches one reaches its
// own network.
func TestAWebhookURLMustNameAPublicHost(t *testing.T) {
	client := publicClient(t, config(""))
	for _, url := range []string{
		"https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/", "https://0177.0.0.1/", "https://127.0.0.1./",
		"https://localhost./", "https://LOCALHOST/", "https://a.localhost/", "https://１２７.0.0.1/", "https://127。0。0。1/",
		"https://ⓛocalhost/", "https://.../", "https://a..example/", "https://*.example/", "https://m.example,e.example/",
		"https://m.example:99999x/", "https://m.example/a b", "https://m.example/a\\b", "https://m.example/#", "https://m.example/\u202e",
		"https://[fe80::1%25eth0]/", "https://[::ffff:127.0.0.1]/",
		"https://localhost6/", "https://ip6-localhost/", "https://a.localhost.localdomain/", "https://printer.local/", "https://metadata.google.internal/",
		"https://nas.lan/", "https://nas.home.arpa/", "https://-a.example/", "https://a-.example/", "https://_.example/", "https://-/", "https://_/",
		"https://m.example:0/", "https://m.example:65536/", "https://m.example:99999/",
	} {
		request := cashOutRequest()
		request.WebhookURL = url
		_, err := client.CreateCashOut(t.Context(), request)
		assert.Equal(t, []string{"webhookUrl"}, fields(err), url)
	}
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	for _, url := range []string{"https://merchant.example/hook?a=b", "https://merchant.example:8443/hook", "https://m.example:65535/", "https://a_b.example/", "https://local.example/", "https://xn--caf-dma.example/", "https://YOUR_DOMAIN/webhooks/connectpsp"} {
		request := cashOutRequest()
		request.WebhookURL = url
		_, err := gateway.client().CreateCashOut(t.Context(), request)
		assert.NoError(t, err, url)
	}
}

func TestAllInvalidFieldsAreReportedAtOnce(t *testing.T) {
	_, err := publicClient(t, config("")).CreateCashOut(t.Context(), connectpsp.CashOutRequest{}, connectpsp.WithAttempt(-1))
	assert.Equal(t, []string{"amount", "externalReference", "payee.name", "payee.document", "payee.destination.type", "WithAttempt"}, fields(err))
	assert.ErrorContains(t, err, "payee.document: must be")
	assert.ErrorIs(t, err, connectpsp.ErrNotSent)
	var first *connectpsp.ValidationError
	require.ErrorAs(t, err, &first)
	assert.Equal(t, "amount", first.Field)

	_, err = connectpsp.New(connectpsp.Config{Environment: 7}, connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: -1}),
		connectpsp.WithUserAgent("a\nb"))
	assert.Equal(t, []string{"ClientID", "ClientSecret", "ApplicationToken", "Environment", "RetryPolicy", "WithUserAgent"}, fields(err))
}

func TestAnIDCannotLeaveItsSegmentOfThePath(t *testing.T) {
	client := publicClient(t, config(""))
	ctx, cancel := timeout(t, time.Minute)
	defer cancel()
	for _, id := range []string{"", ".", "..", "a/b", "a%2Fb", "../account/balance", "a?b", "a#b", "-a", "_a", "a b", "é", "a.b", strings.Repeat("a", 65)} {
		_, err := client.GetCashIn(t.Context(), id)
		assert.Equal(t, []string{"id"}, fields(err), id)
		_, err = client.GetCashOut(t.Context(), id)
		assert.Equal(t, []string{"id"}, fields(err), id)
		_, err = client.WaitCashIn(ctx, id)
		assert.Equal(t, []string{"id"}, fields(err), id)
		require.NoError(t, ctx.Err(), "it waited")
		_, err = client.RefundCashIn(t.Context(), id, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
		assert.Equal(t, []string{"id"}, fields(err), id)
	}
}

func TestSignedOperationsNeedTheCryptoTokenBeforeAnythingIsSent(t *testing.T) {
	cfg := config("")
	cfg.CryptoToken = auth.Secret{}
	client := publicClient(t, cfg)
	_, err := client.CreateCashOut(t.Context(), cashOutRequest())
	assert.Equal(t, []string{"CryptoToken"}, fields(err))
	_, err = client.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: connectpsp.RefundFraud})
	assert.Equal(t, []string{"CryptoToken"}, fields(err))
	_, err = client.RebalanceAccount(t.Context(), pix.Centavos(100))
	assert.Equal(t, []string{"CryptoToken"}, fields(err))
}

func TestOptionsThatDoNotFitTheOperationAreRefused(t *testing.T) {
	client := publicClient(t, config(""))
	key := connectpsp.WithIdempotencyKey("5f0c6a57-6c2b-4a55-9a0b-0b8c6a3f9a11")
	refund := connectpsp.RefundRequest{Reason: connectpsp.RefundFraud}

	_, err := client.RebalanceAccount(t.Context(), pix.Centavos(-1), key)
	assert.Equal(t, []string{"targetAmount", "WithIdempotencyKey"}, fields(err))
	_, err = client.GetBalance(t.Context(), key)
	assert.Equal(t, []string{"WithIdempotencyKey"}, fields(err))
	_, err = client.RefundCashIn(t.Context(), cashInID, refund, connectpsp.WithAttempt(-1))
	assert.Equal(t, []string{"WithAttempt"}, fields(err))
	_, err = client.GetCashIn(t.Context(), cashInID, connectpsp.WithAttempt(1))
	assert.Equal(t, []string{"WithAttempt"}, fields(err))
	_, err = client.CreateCashIn(t.Context(), cashInRequest(), key, connectpsp.WithAttempt(1))
	assert.Equal(t, []string{"WithAttempt"}, fields(err))
	for _, wrong := range []string{"", "order-1", "5f0c6a576c2b4a559a0b0b8c6a3f9a11", "{5f0c6a57-6c2b-4a55-9a0b-0b8c6a3f9a1}",
		"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"} {
		_, err = client.CreateCashOut(t.Context(), cashOutRequest(), connectpsp.WithIdempotencyKey(wrong))
		assert.Equal(t, []string{"WithIdempotencyKey"}, fields(err), wrong)
	}
	_, err = client.RefundCashIn(t.Context(), cashInID, connectpsp.RefundRequest{Reason: "BECAUSE", Description: "\x01"})
	assert.Equal(t, []string{"reason", "description"}, fields(err))
}

func TestTheBaseURLIsHTTPSOrLoopback(t *testing.T) {
	for url, valid := range map[string]bool{
		"":                            true,
		"https://proxy.example":       true,
		"https://proxy.example/psp/":  true,
		"http://127.0.0.1:8080":       true,
		"http://127.8.8.8":            true,
		"http://[::1]:8080":           true,
		"http://localhost:8080":       true,
		"http://gateway.example":      false,
		"http://127.0.0.1.example":    false,
		"http://10.0.0.1":             false,
		"ftp://gateway.example":       false,
		"gateway.example":             false,
		"https://":                    false,
		"https:gateway.example":       false,
		"https://a:b@gateway.example": false,
		"https://gateway.example?a=b": false,
		"https://gateway.example?":    false,
		"https://gateway.example#a":   false,
		"https://gateway.example:x":   false,
	} {
		_, err := connectpsp.New(config(url))
		if valid {
			assert.NoError(t, err, url)
		} else {
			assert.Equal(t, []string{"BaseURL"}, fields(err), url)
		}
	}
}

func TestALoopbackWebhookURLIsAllowedForALoopbackGateway(t *testing.T) {
	gateway := newGateway(t, replyJSON(202, cashOutAccepted))
	request := cashOutRequest()
	request.WebhookURL = "http://127.0.0.1:9999/hook"
	_, err := gateway.client().CreateCashOut(t.Context(), request)
	require.NoError(t, err)
}

func TestPIXKeysAreNormalizedAsInTheDirectory(t *testing.T) {
	for _, c := range []struct {
		kind        connectpsp.PIXKeyType
		given, want string
	}{
		{connectpsp.PIXKeyEmail, " Maria@Example.com ", "maria@example.com"},
		{connectpsp.PIXKeyEVP, "123E4567-E12B-12D1-A456-426655440000", "123e4567-e12b-12d1-a456-426655440000"},
		{connectpsp.PIXKeyPhone, "+5511987654321", "+5511987654321"},
		{connectpsp.PIXKeyPhone, "11987654321", "11987654321"}, // never completed; CreateCashOut refuses it
	} {
		assert.Equal(t, connectpsp.Destination{Type: connectpsp.DestinationPIX, PIXKeyType: c.kind, PIXKey: c.want},
			connectpsp.ToPIXKey(c.kind, c.given))
	}
}
