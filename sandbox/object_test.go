package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func TestABodyMustBeOneJSONObject(t *testing.T) {
	g := startUnchecked(t)
	good := cashInBody("order-1", "")
	for name, body := range map[string]string{
		"empty":                "",
		"not JSON":             "amount=10",
		"an array":             "[" + good + "]",
		"null":                 "null",
		"cut":                  good[:len(good)-1],
		"cut in an array":      `{"a":[1`,
		"cut in a name":        `{"amo`,
		"a name without value": `{"amount"}`,
		"a wrong array":        `{"a":[}`,
		"two objects":          good + good,
		"text after it":        good + "x",
		"a repeated name":      strings.Replace(good, "{", `{"amount":1,`, 1),
		"one repeated inside":  strings.Replace(good, `"name"`, `"name":"x","name"`, 1),
		"broken UTF-8":         strings.Replace(good, "Maria", "Mari\xff", 1),
		"too long":             good + strings.Repeat(" ", 64<<10),
	} {
		t.Run(name, func(t *testing.T) { g.post("/cash-in", body).problem(400, "INVALID_REQUEST") })
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
		g.post("/cash-in", good, header("Content-Type", contentType)).problem(400, "INVALID_REQUEST")
	}
	g.post("/cash-in", good, header("Content-Type", "application/json; charset=utf-8")).into(201, &connectpsp.CashIn{})
}

func TestUnknownMembersAreIgnored(t *testing.T) {
	g := startUnchecked(t)
	body := strings.Replace(cashInBody("order-1", ""), "{", `{"AMOUNT":"x","list":[1,{"a":[]}],"nothing":null,`, 1)
	var charge connectpsp.CashIn
	g.post("/cash-in", body).into(201, &charge)
	assert.Equal(t, "10.50", charge.Amount.String())
}

func TestEachMemberOfACashInIsChecked(t *testing.T) {
	g := startUnchecked(t)
	const good = `{"amount":10.50,"externalReference":"order-1","expirationInMinutes":30,"webhookUrl":"http://localhost/hook",` +
		`"openFinance":{"redirectUrl":"https://shop.example"},"payer":{"name":"Maria","document":"12345678909"}}`
	for _, test := range []struct{ old, new, member string }{
		{`10.50`, `0`, "amount"},
		{`10.50`, `-1`, "amount"},
		{`10.50`, `0.001`, "amount"},
		{`10.50`, `10000000000`, "amount"},
		{`10.50`, `1e2`, "amount"},
		{`10.50`, `"10.50"`, "amount"},
		{`10.50`, `null`, "amount"},
		{`"amount"`, `"Amount"`, "amount"},
		{`"order-1"`, `""`, "externalReference"},
		{`"order-1"`, `1`, "externalReference"},
		{`:30`, `:0`, "expirationInMinutes"},
		{`:30`, `:1.5`, "expirationInMinutes"},
		{`:30`, `:"30"`, "expirationInMinutes"},
		{`http://localhost/hook`, `localhost`, "webhookUrl"},
		{`http://localhost/hook`, `ftp://localhost/hook`, "webhookUrl"},
		{`http://localhost/hook`, `http://`, "webhookUrl"},
		{`http://localhost/hook`, `http://[`, "webhookUrl"},
		{`"http://localhost/hook"`, `null`, "webhookUrl"},
		{`"https://shop.example"`, `1`, "openFinance.redirectUrl"},
		{`{"redirectUrl":"https://shop.example"}`, `true`, "openFinance"},
		{`"payer"`, `"payee"`, "payer"},
		{`"Maria"`, `""`, "payer.name"},
		{`12345678909`, `123.456.789-09`, "payer.document"},
		{`12345678909`, `12345678901`, "payer.document"},
		{`12345678909`, `12ABC34501DE35`, "payer.document"},
	} {
		t.Run(test.member+" "+test.new, func(t *testing.T) {
			body := strings.Replace(good, test.old, test.new, 1)
			problem := g.post("/cash-in", body).problem(400, "INVALID_REQUEST")
			assert.True(t, strings.HasPrefix(problem.Detail, test.member+" "), problem.Detail)
		})
	}
	g.post("/cash-in", strings.Replace(good, ":30", ":9223372036854775807", 1)).into(201, &connectpsp.CashIn{})
}

func TestEachMemberOfACashOutIsChecked(t *testing.T) {
	g := startUnchecked(t)
	const pixKey = `{"type":"PIX","pixKeyType":"CPF","pixKey":"12345678909"}`
	const account = `{"type":"BANK_ACCOUNT","bankAccount":{"ispb":"18236120","branch":"0001","account":"1","accountType":"PAYMENT"}}`
	send := func(destination string) reply {
		return g.post("/cash-out", `{"amount":1,"externalReference":"withdrawal-1","payee":{"name":"Maria","document":"12345678909",`+
			`"destination":`+destination+`}}`)
	}
	for _, test := range []struct{ destination, old, new, member string }{
		{pixKey, `"PIX"`, `"TED"`, "type"},
		{pixKey, `"CPF"`, `"RG"`, "pixKeyType"},
		{pixKey, `"CPF"`, `"PHONE"`, "pixKey"},
		{pixKey, `,"pixKey":"12345678909"`, ``, "pixKey"},
		{account, `"bankAccount"`, `"account"`, "bankAccount"},
		{account, `18236120`, `1823612`, "bankAccount.ispb"},
		{account, `18236120`, `1823612A`, "bankAccount.ispb"},
		{account, `"0001"`, `""`, "bankAccount.branch"},
		{account, `"account":"1"`, `"account":1`, "bankAccount.account"},
		{account, `,"accountType":"PAYMENT"`, ``, "bankAccount.accountType"},
	} {
		t.Run(test.member+" "+test.new, func(t *testing.T) {
			problem := send(strings.Replace(test.destination, test.old, test.new, 1)).problem(400, "INVALID_REQUEST")
			assert.True(t, strings.HasPrefix(problem.Detail, "payee.destination."+test.member+" "), problem.Detail)
		})
	}
	assert.Equal(t, "500000.00", g.transactional())
}

func TestTheOtherBodiesAreCheckedToo(t *testing.T) {
	g := startUnchecked(t)
	for path, bodies := range map[string][]string{
		"/auth/token":        {`{}`, `{"clientId":1024,"clientSecret":"x"}`},
		"/cash-in/x/refund":  {`{}`, `{"reason":"BOREDOM"}`, `{"reason":"FRAUD","description":1}`},
		"/account/rebalance": {`{}`, `{"targetAmount":-0.01}`, `{"targetAmount":"1"}`},
	} {
		for _, body := range bodies {
			g.post(path, body).problem(400, "INVALID_REQUEST")
		}
	}
}

func TestATruncatedBodyExecutesNothing(t *testing.T) {
	g := startUnchecked(t)
	body := cashInBody("order-1", "")
	_, err := g.attempt(http.MethodPost, "/cash-in", body, func(r *http.Request) { r.ContentLength++ })
	assert.Error(t, err)
	g.newCashIn("order-1", "")
}
