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

// publicClient talks to nothing: what it is given must be refused before a request, even for a
// token, is made.
func publicClient(t *testing.T, cfg connectpsp.Config) *connectpsp.Client {
	gateway := newGateway(t)
	t.Cleanup(func() { assert.Zero(t, gateway.tokenRequests(), "a token was asked for") })
	cfg.BaseURL = "https://gateway.example"
	return must(connectpsp.New(cfg, memory(gateway)))
}

func TestAnInvalidCashOutNamesTheField(t *testing.T) {
	account := connectpsp.BankAccount{ISPB: "18236120", Branch: "0001", Account: "947710840", AccountType: connectpsp.AccountTypePayment}
	cases := []struct {
		field string
		spoil func(*connectpsp.CashOutRequest)
	}{
		{"amount", func(r *connectpsp.CashOutRequest) { r.Amount = pix.Amount{} }},
		{"amount", func(r *connectpsp.CashOutRequest) { r.Amount = pix.Centavos(-1) }},
		{"amount", func(r *connectpsp.CashOutRequest) { r.Amount = pix.Centavos(1_000_000_000_000) }},
		{"externalReference", func(r *connectpsp.CashOutRequest) { r.ExternalReference = "" }},
		{"externalReference", func(r *connectpsp.CashOutRequest) { r.ExternalReference = " a" }},
		{"externalReference", func(r *connectpsp.CashOutRequest) { r.ExternalReference = "a\nb" }},
		{"externalReference", func(r *connectpsp.CashOutRequest) { r.ExternalReference = "a\xffb" }},
		{"description", func(r *connectpsp.CashOutRequest) { r.Description = "a\x00b" }},
		{"webhookUrl", func(r *connectpsp.CashOutRequest) { r.WebhookURL = "http://merchant.example/hook" }},
		{"webhookUrl", func(r *connectpsp.CashOutRequest) { r.WebhookURL = "https://localhost/hook" }},
		{"webhookUrl", func(r *connectpsp.CashOutRequest) { r.WebhookURL = "https://10.0.0.7/hook" }},
		{"webhookUrl", func(r *connectpsp.CashOutRequest) { r.WebhookURL = "https://[::1]/hook" }},
		{"webhookUrl", func(r *connectpsp.CashOutRequest) { r.WebhookURL = "https://user:word@merchant.example/hook" }},
		{"webhookUrl", func(r *connectpsp.CashOutRequest) { r.WebhookURL = "https://merchant.example/hook#a" }},
		{"webhookUrl", func(r *connectpsp.CashOutRequest) { r.WebhookURL = "/hook" }},
		{"externalReference", func(r *connectpsp.CashOutRequest) { r.ExternalReference = "a\u200bb" }},
		{"externalReference", func(r *connectpsp.CashOutRequest) { r.ExternalReference = "a\u202eb" }},
		{"webhookUrl", func(r *connectpsp.CashOutRequest) {
			r.WebhookURL = "https://merchant.example/" + strings.Repeat("a", 2048)
		}},
		{"payee.name", func(r *connectpsp.CashOutRequest) { r.Payee.Name = " " }},
		{"payee.name", func(r *connectpsp.CashOutRequest) { r.Payee.Name = "Maria\r\n" }},
		{"payee.name", func(r *connectpsp.CashOutRequest) { r.Payee.Name = "Jos\xe9" }}, // JSON would send another name
		{"description", func(r *connectpsp.CashOutRequest) { r.Description = "sal\xe1rio" }},
		{"externalReference", func(r *connectpsp.CashOutRequest) { r.ExternalReference = "pedido-\xe9" }},
		{"payee.document", func(r *connectpsp.CashOutRequest) { r.Payee.Document = "12345678901" }},
		{"payee.document", func(r *connectpsp.CashOutRequest) { r.Payee.Document = "123.456.789-09" }},
		{"payee.document", func(r *connectpsp.CashOutRequest) { r.Payee.Document = "12ABC34501DE35" }},
		{"payee.destination.type", func(r *connectpsp.CashOutRequest) { r.Payee.Destination = connectpsp.Destination{} }},
		{"payee.destination.pixKeyType", func(r *connectpsp.CashOutRequest) { r.Payee.Destination = connectpsp.ToPIXKey("IBAN", "1") }},
		{"payee.destination.pixKey", func(r *connectpsp.CashOutRequest) {
			r.Payee.Destination = connectpsp.ToPIXKey(connectpsp.PIXKeyPhone, "11987654321")
		}},
		{"payee.destination.pixKey", func(r *connectpsp.CashOutRequest) {
			r.Payee.Destination = connectpsp.Destination{Type: connectpsp.DestinationPIX, PIXKeyType: connectpsp.PIXKeyEmail, PIXKey: "A@b.example"}
		}},
		{"payee.destination.bankAccount", func(r *connectpsp.CashOutRequest) { r.Payee.Destination.BankAccount = &account }},
		{"payee.destination.bankAccount", func(r *connectpsp.CashOutRequest) {
			r.Payee.Destination = connectpsp.Destination{Type: connectpsp.DestinationBankAccount}
		}},
		{"payee.destination.pixKey", func(r *connectpsp.CashOutRequest) {
			r.Payee.Destination = connectpsp.Destination{Type: connectpsp.DestinationBankAccount, PIXKey: "a", BankAccount: &account}
		}},
		{"payee.destination.bankAccount.ispb", func(r *connectpsp.CashOutRequest) {
			wrong := account
			wrong.ISPB = "1823612"
			r.Payee.Destination = connectpsp.ToBankAccount(wrong)
		}},
		{"payee.destination.bankAccount.branch", func(r *connectpsp.CashOutRequest) {
			wrong := account
			wrong.Branch = ""
			r.Payee.Destination = connectpsp.ToBankAccount(wrong)
		}},
		{"payee.destination.bankAccount.account", func(r *connectpsp.CashOutRequest) {
			wrong := account
			wrong.Account = "12 34"
			r.Payee.Destination = connectpsp.ToBankAccount(wrong)
		}},
		{"payee.destination.bankAccount.accountType", func(r *connectpsp.CashOutRequest) {
			wrong := account
			wrong.AccountType = ""
			r.Payee.Destination = connectpsp.ToBankAccount(wrong)
		}},
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

// An address has many spellings, and a gateway that fetches one of them reaches its own network.
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
