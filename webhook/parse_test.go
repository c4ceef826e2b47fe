package webhook_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestThePublishedExampleParses(t *testing.T) {
	body := published(t)
	contract.New(t).Webhook([]byte(body))
	header := signed(body)
	header.Set("X-Event-Id", "6f0c1c0e-58a3-4a7b-8f43-3c1a5f5e0b11")
	event, err := webhook.Parse([]byte(body), header, secret)
	require.NoError(t, err)

	assert.Equal(t, webhook.CashInPaid, event.Type)
	assert.Equal(t, time.Date(2026, 3, 10, 11, 22, 18, 0, time.UTC), event.At)
	assert.Equal(t, "6f0c1c0e-58a3-4a7b-8f43-3c1a5f5e0b11", event.DeliveryID)
	assert.Equal(t, body, string(event.Raw))
	assert.Nil(t, event.CashOut)
	require.NotNil(t, event.CashIn)
	assert.Equal(t, "kk6g232xel65a0daee4dd13kk2912714964", event.CashIn.TransactionID)
	assert.Equal(t, "E00416968202603101827cemeFscF6AG", event.CashIn.EndToEndID)
	assert.Equal(t, connectpsp.CashInPaid, event.CashIn.Status)
	assert.Equal(t, pix.Centavos(1000), event.CashIn.Amount)
	assert.Equal(t, "Banco do Brasil S.A.", event.CashIn.Payer.BankData.Bank)
	assert.Equal(t, time.Date(2026, 3, 10, 14, 22, 15, 0, time.UTC), event.CashIn.PaidAt.UTC())
}

func TestEveryPublishedTypeIsRead(t *testing.T) {
	charge := `{"transactionId":"t1","internalCode":"c","externalReference":"r","status":"PAID","amount":10.5,` +
		`"endToEndId":"E1","payer":{"name":"n","document":"12345678909"}}`
	payment := `{"transactionId":"0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11","amount":10.5,"endToEndId":null,` +
		`"failure":{"code":"PIX_KEY_NOT_FOUND","message":"m"}}`
	checker := contract.New(t)
	for _, kind := range []webhook.EventType{
		webhook.CashInPaid, webhook.CashInRefunded,
		webhook.CashOutCompleted, webhook.CashOutFailed, webhook.CashOutRefunded,
	} {
		t.Run(string(kind), func(t *testing.T) {
			isCashIn := strings.HasPrefix(string(kind), "CASHIN")
			data := payment
			if isCashIn {
				data = charge
			}
			body := fmt.Sprintf(`{"eventType":%q,"eventAt":"2026-03-10T11:22:18Z","data":%s}`, kind, data)
			checker.Webhook([]byte(body))
			event, err := parse(body)
			require.NoError(t, err)
			assert.Equal(t, kind, event.Type)
			if isCashIn {
				assert.Nil(t, event.CashOut)
				require.NotNil(t, event.CashIn)
				assert.Equal(t, pix.Centavos(1050), event.CashIn.Amount)
				return
			}
			assert.Nil(t, event.CashIn)
			require.NotNil(t, event.CashOut)
			assert.Equal(t, pix.Centavos(1050), event.CashOut.Amount)
			assert.Equal(t, connectpsp.FailurePIXKeyNotFound, event.CashOut.Failure.Code)
			assert.Empty(t, event.CashOut.EndToEndID)
		})
	}
}

// The bodies hold no transaction, so a valid signature shows as ErrMalformed.
func TestASignatureVerifiesTheBytesAsReceived(t *testing.T) {
	const (
		body    = `{"eventType":"CASHIN_PAID","data":{"amount":10.00}}`
		again   = `{"eventType":"CASHIN_PAID","data":{"amount":10}}`
		ofBody  = "6514cf78ee8ac6400f2b947779fa4bda9cf8e5c02e6712ad4b074a1a8e1355a3"
		ofAgain = "2d6ae5dd6d3ec1cac49c54f9e31a4e4b5600eba86e5cc3567da252a702c94026"
		ofAJWT  = "7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9"
	)
	tests := map[string]struct {
		body, signature string
		want            error
	}{
		"as received":                  {body, ofBody, webhook.ErrMalformed},
		"in capitals":                  {body, strings.ToUpper(ofBody), webhook.ErrMalformed},
		"in both cases":                {body, "6514CF78" + ofBody[8:], webhook.ErrMalformed},
		"another body":                 {again, ofAgain, webhook.ErrMalformed},
		"encoded again":                {again, ofBody, webhook.ErrInvalidSignature},
		"another body's":               {body, ofAgain, webhook.ErrInvalidSignature},
		"a token's":                    {body, ofAJWT, webhook.ErrInvalidSignature},
		"a token's, the token as body": {"header.payload.signature", ofAJWT, webhook.ErrMalformed},
		"with a space":                 {body + " ", ofBody, webhook.ErrInvalidSignature},
		"cut short":                    {body, ofBody[:62], webhook.ErrInvalidSignature},
		"half a byte short":            {body, ofBody[:63], webhook.ErrInvalidSignature},
		"too long":                     {body, ofBody + "00", webhook.ErrInvalidSignature},
		"twice in one value":           {body, ofBody + "," + ofBody, webhook.ErrInvalidSignature},
		"with a prefix":                {body, "sha256=" + ofBody, webhook.ErrInvalidSignature},
		"no hexadecimal":               {body, strings.Repeat("zz", 32), webhook.ErrInvalidSignature},
		"zeros":                        {body, strings.Repeat("00", 32), webhook.ErrInvalidSignature},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"X-Connect-Signature": {test.signature}}
			event, err := webhook.Parse([]byte(test.body), header, secret)
			require.ErrorIs(t, err, test.want)
			assert.Nil(t, event)
			if decoded, odd := hex.DecodeString(test.signature); odd != nil || len(decoded) != 32 {
				assert.ErrorContains(t, err, "not 32 bytes in hexadecimal")
			}
		})
	}
}

func TestAnEmptySignatureNeverVerifies(t *testing.T) {
	for name, header := range map[string]http.Header{
		"no header at all": nil,
		"no signature":     {"X-Event-Id": {"1"}},
		"no value":         {"X-Connect-Signature": {}},
		"empty value":      {"X-Connect-Signature": {""}},
	} {
		for _, body := range []string{"", published(t)} {
			t.Run(name, func(t *testing.T) {
				_, err := webhook.Parse([]byte(body), header, secret)
				assert.ErrorIs(t, err, webhook.ErrInvalidSignature)
				_, err = webhook.Parse([]byte(body), header, auth.NewSecret(""))
				assert.ErrorIs(t, err, webhook.ErrInvalidSignature)
			})
		}
	}
}

func TestTwoSignaturesNeverVerify(t *testing.T) {
	body := published(t)
	for _, values := range [][]string{
		{sign(body), sign(body)},
		{sign(body), ""},
		{"", sign(body)},
		{sign(body)[:32], sign(body)[32:]},
	} {
		_, err := webhook.Parse([]byte(body), http.Header{"X-Connect-Signature": values}, secret)
		assert.ErrorIs(t, err, webhook.ErrInvalidSignature)
	}
}

func TestAnyOfTheSecretsVerifies(t *testing.T) {
	body := published(t)
	unset, other := auth.Secret{}, auth.NewSecret("0f4c6e0a-9d8d-4a53-9a5e-2d7f6a3c1b22")
	tests := map[string]struct {
		secrets []auth.Secret
		valid   bool
	}{
		"the one":               {[]auth.Secret{secret}, true},
		"current and previous":  {[]auth.Secret{other, secret}, true},
		"previous and current":  {[]auth.Secret{secret, other}, true},
		"after an unset one":    {[]auth.Secret{unset, secret}, true},
		"before an unset one":   {[]auth.Secret{secret, unset}, true},
		"another":               {[]auth.Secret{other}, false},
		"another and unset":     {[]auth.Secret{other, unset}, false},
		"another, given twice":  {[]auth.Secret{other, other}, false},
		"same in capitals only": {[]auth.Secret{auth.NewSecret(strings.ToUpper(cryptoToken))}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := webhook.Parse([]byte(body), signed(body), test.secrets...)
			if test.valid {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, webhook.ErrInvalidSignature)
		})
	}
}

func TestWithoutASecretNothingVerifies(t *testing.T) {
	body := published(t)
	// With an unset secret the key of the HMAC would be empty, which a forger knows.
	header := http.Header{"X-Connect-Signature": {hex.EncodeToString(signing.Sum("", []byte(body)))}}
	for name, secrets := range map[string][]auth.Secret{
		"none": nil, "unset": {{}}, "all unset": {auth.NewSecret(""), {}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := webhook.Parse([]byte(body), header, secrets...)
			require.ErrorIs(t, err, webhook.ErrInvalidSignature)
			assert.ErrorContains(t, err, "no secret was given")
		})
	}
}

func TestTheSignatureIsCheckedBeforeTheBody(t *testing.T) {
	for _, body := range []string{"", "{", `{"eventType":1}`, "\xff", strings.Repeat("[", 100)} {
		_, err := webhook.Parse([]byte(body), signed(body+" "), secret)
		assert.ErrorIs(t, err, webhook.ErrInvalidSignature)
		assert.NotErrorIs(t, err, webhook.ErrMalformed)
	}
}

func TestAnAmbiguousBodyIsMalformed(t *testing.T) {
	event := func(data string) string { return `{"eventType":"CASHIN_PAID","data":` + data + `}` }
	nested := func(levels int) string {
		return `{"eventType":"PING","x":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
	}
	const data = `{"transactionId":"t1","amount":10}`
	tests := map[string]struct{ body, reason string }{
		"empty":                            {"", "one JSON value"},
		"spaces":                           {" \n", "one JSON value"},
		"a word":                           {"paid", "one JSON value"},
		"cut short":                        {event(data)[:30], "one JSON value"},
		"cut short before the end":         {strings.TrimSuffix(event(data), "}"), "one JSON value"},
		"cut short after a colon":          {`{"eventType":`, "one JSON value"},
		"a name that is no string":         {`{1:2}`, "one JSON value"},
		"wrong bracket":                    {`{"eventType":"PING","x":[}]`, "one JSON value"},
		"comma at the end":                 {`{"eventType":"PING",}`, "one JSON value"},
		"trailing object":                  {event(data) + `{}`, "one JSON value"},
		"trailing word":                    {event(data) + ` x`, "one JSON value"},
		"trailing zero byte":               {event(data) + "\x00", "one JSON value"},
		"byte order mark alone":            {"\ufeff", "one JSON value"},
		"two byte order marks":             {"\ufeff\ufeff" + event(data), "one JSON value"},
		"null":                             {`null`, "not an object"},
		"array":                            {`[` + event(data) + `]`, "not an object"},
		"string":                           {`"{}"`, "not an object"},
		"number":                           {`1`, "not an object"},
		"UTF-16":                           {"\xff\xfe{\x00}\x00", "one JSON value"},
		"duplicate in ISO-8859-1":          {event("{\"transactionId\":\"t1\",\"\xe9\":1,\"\xc9\":2}"), "same name"},
		"duplicate in two encodings":       {event("{\"transactionId\":\"t1\",\"\xe9\":1,\"é\":2}"), "same name"},
		"duplicate at the top":             {`{"eventType":"CASHIN_PAID","eventType":"CASHIN_REFUNDED","data":` + data + `}`, "same name"},
		"duplicate in data":                {event(`{"transactionId":"t1","amount":10,"amount":1000}`), "same name"},
		"duplicate further in":             {event(`{"transactionId":"t1","payer":{"name":"a","name":"b"}}`), "same name"},
		"duplicate within an array":        {event(`{"transactionId":"t1","x":[1,{"a":1,"a":1}]}`), "same name"},
		"duplicate in unknown members":     {`{"eventType":"PING","x":{"y":1,"y":1}}`, "same name"},
		"duplicate in capitals":            {event(`{"transactionId":"t1","amount":10,"AMOUNT":1000}`), "same name"},
		"duplicate by an escape":           {event(`{"transactionId":"t1","amount":10,"\u0061mount":1000}`), "same name"},
		"duplicate by a long s":            {event(`{"transactionId":"t1","status":"PAID","ſtatus":"X"}`), "same name"},
		"duplicate by the Kelvin sign":     {`{"eventType":"PING","k":1,"K":1}`, "same name"},
		"nested too deep":                  {nested(33), "too deep"},
		"nested much too deep":             {nested(100_000), "too deep"},
		"no eventType":                     {`{"data":` + data + `}`, "eventType"},
		"null eventType":                   {`{"eventType":null,"data":` + data + `}`, "eventType"},
		"empty eventType":                  {`{"eventType":"","data":` + data + `}`, "eventType"},
		"numeric eventType":                {`{"eventType":1,"data":` + data + `}`, "eventType"},
		"eventType in an object":           {`{"eventType":{"eventType":"PING"}}`, "eventType"},
		"no data":                          {`{"eventType":"CASHIN_PAID"}`, "data is not an object"},
		"null data":                        {event(`null`), "data is not an object"},
		"data in an array":                 {event(`[` + data + `]`), "data is not an object"},
		"data in a string":                 {event(`"{}"`), "data is not an object"},
		"no transactionId":                 {event(`{"amount":10}`), "transactionId"},
		"empty transactionId":              {event(`{"transactionId":"","amount":10}`), "transactionId"},
		"null transactionId":               {event(`{"transactionId":null,"amount":10}`), "transactionId"},
		"numeric transactionId":            {event(`{"transactionId":1,"amount":10}`), "transactionId"},
		"cash-out without data":            {`{"eventType":"CASHOUT_COMPLETED","data":null}`, "data is not an object"},
		"cash-out without a transactionId": {`{"eventType":"CASHOUT_REFUNDED","data":{}}`, "transactionId"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			event, err := parse(test.body)
			require.ErrorIs(t, err, webhook.ErrMalformed)
			assert.NotErrorIs(t, err, webhook.ErrInvalidSignature)
			assert.ErrorContains(t, err, test.reason)
			assert.Nil(t, event)
		})
	}
	_, err := parse(nested(32))
	assert.NoError(t, err, "the bound itself")
}

func TestErrorsRepeatNothingOfTheBody(t *testing.T) {
	for _, body := range []string{
		`{"eventType":"CASHIN_PAID","data":{"transactionId":52998224725}}`,
		`{"eventType":"CASHIN_PAID","data":"52998224725"}`,
		`{"eventType":52998224725}`,
		`{"52998224725":1,"52998224725":2}`,
		`{"eventType":"PING"}52998224725`,
		`52998224725`,
	} {
		for _, header := range []http.Header{signed(body), {"X-Connect-Signature": {"52998224725"}}} {
			_, err := webhook.Parse([]byte(body), header, secret)
			require.Error(t, err)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "52998224725")
			assert.NotContains(t, err.Error(), cryptoToken)
		}
	}
}

func TestAMalformedFieldDoesNotLoseTheEvent(t *testing.T) {
	tests := map[string]string{
		"date without a time":     `"paidAt":"2026-03-10"`,
		"date as a number":        `"paidAt":1773152535`,
		"null date":               `"requestedAt":null`,
		"null end-to-end id":      `"endToEndId":null`,
		"numeric end-to-end id":   `"endToEndId":1`,
		"unknown status":          `"status":"SETTLED"`,
		"status in an object":     `"status":{"code":"PAID"}`,
		"null payer":              `"payer":null`,
		"payer in a string":       `"payer":"somebody"`,
		"numeric document":        `"payer":{"name":"n","document":12345678909}`,
		"bank data in an array":   `"payer":{"bankData":[]}`,
		"unknown member":          `"fees":[{"amount":"?"}]`,
		"QR code in a string":     `"pixData":"000201"`,
		"number out of any range": `"internalCode":1e999`,
	}
	for name, member := range tests {
		t.Run(name, func(t *testing.T) {
			event, err := parse(`{"eventType":"CASHIN_PAID","eventAt":"soon","data":{` + member + `,"transactionId":"t1","amount":"10.50"}}`)
			require.NoError(t, err)
			assert.Equal(t, "t1", event.CashIn.TransactionID)
			assert.Equal(t, pix.Centavos(1050), event.CashIn.Amount)
			assert.True(t, event.At.IsZero())
		})
	}
	t.Run("no amount", func(t *testing.T) {
		for _, data := range []string{`{"transactionId":"t1"}`, `{"transactionId":"t1","amount":null}`} {
			event, err := parse(`{"eventType":"CASHOUT_COMPLETED","data":` + data + `}`)
			require.NoError(t, err)
			assert.True(t, event.CashOut.Amount.IsZero())
		}
	})
}

// The transaction has moved, and its amount can be read from the gateway.
func TestAnUnreadableAmountDoesNotLoseTheEvent(t *testing.T) {
	for _, amount := range []string{`10.001`, `1e-3`, `"ten"`, `""`, `1` + strings.Repeat("0", 30), `1e999999999`, `{"value":10}`, `[10]`, `false`} {
		for _, kind := range []string{"CASHIN_PAID", "CASHIN_NEW"} {
			event, err := parse(`{"eventType":"` + kind + `","data":{"amount":` + amount + `,"transactionId":"t1","endToEndId":"E1","payer":{"name":"n"}}}`)
			require.NoError(t, err, amount)
			assert.Equal(t, kind+"/t1/E1", event.Key())
			assert.Zero(t, event.CashIn.Amount, amount)
			assert.Equal(t, "n", event.CashIn.Payer.Name)
		}
		event, err := parse(`{"eventType":"CASHOUT_FAILED","data":{"transactionId":"t1","amount":` + amount + `,"status":"FAILED"}}`)
		require.NoError(t, err, amount)
		assert.Zero(t, event.CashOut.Amount, amount)
		assert.Equal(t, connectpsp.CashOutFailed, event.CashOut.Status)
	}
}

func TestAnAmountIsReadInEveryNotation(t *testing.T) {
	for amount, want := range map[string]int64{`1E+2`: 10000, `1.05e1`: 1050, `10050e-2`: 10050, `"10.50"`: 1050, `10.5`: 1050} {
		event, err := parse(`{"eventType":"CASHIN_PAID","data":{"transactionId":"t1","amount":` + amount + `}}`)
		require.NoError(t, err, amount)
		assert.Equal(t, pix.Centavos(want), event.CashIn.Amount, amount)
	}
}

// The signature is over the bytes as received.
func TestABodyInISO88591IsRead(t *testing.T) {
	body := func(name string) string {
		return `{"eventType":"CASHIN_PAID","data":{"transactionId":"t1","amount":10.50,"payer":{"name":"` + name + `"}}}`
	}
	for name, test := range map[string]struct{ sent, meant, name string }{
		"UTF-8":                           {body("José"), body("José"), "José"},
		"UTF-8 after a mark":              {"\ufeff" + body("José"), body("José"), "José"},
		"ISO-8859-1":                      {body("Jos\xe9 Concei\xe7\xe3o"), body("José Conceição"), "José Conceição"},
		"ISO-8859-1 at the end of a word": {body("\xc1\xe9"), body("Áé"), "Áé"},
		"UTF-8 that was cut":              {body("José Concei\xc3"), body("José ConceiÃ"), "José ConceiÃ"},
		"a mark, and ISO-8859-1":          {"\ufeff" + body("Jos\xe9"), body("José"), "José"},
		"a replacement character":         {body("Jos\ufffd\xe9"), body("Jos\ufffdé"), "Jos\ufffdé"},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := parse(test.sent)
			require.NoError(t, err)
			assert.Equal(t, test.name, event.CashIn.Payer.Name)
			assert.Equal(t, test.meant, string(event.Raw))
			_, err = webhook.Parse([]byte(test.meant+" "), signed(test.sent), secret)
			assert.ErrorIs(t, err, webhook.ErrInvalidSignature)
		})
	}
}

// A proxy may compress the body that the gateway signed, or the gateway may sign the compressed
// body.
func TestACompressedBodyIsReadWhicheverFormWasSigned(t *testing.T) {
	body := published(t)
	packed := pack(body)
	for name, over := range map[string]string{"packed": packed, "unpacked": body} {
		event, err := webhook.Parse([]byte(packed), signed(over), secret)
		require.NoError(t, err, name)
		assert.Equal(t, body, string(event.Raw), name)
		assert.Equal(t, "Test User", event.CashIn.Payer.Name, name)
	}
	marked := pack("\ufeff" + strings.Replace(body, "Test", "Jos\xe9", 1))
	event, err := webhook.Parse([]byte(marked), signed(marked), secret)
	require.NoError(t, err)
	assert.Equal(t, "José User", event.CashIn.Payer.Name)
	_, err = webhook.Parse([]byte(body), signed(packed), secret)
	assert.ErrorIs(t, err, webhook.ErrInvalidSignature, "the signature of packed bytes that did not come")
}

func TestACompressedBodyThatCannotBeReadIsRefused(t *testing.T) {
	const limit = 64 << 10
	event := func(length int) string {
		text := `{"eventType":"PING","x":"`
		return text + strings.Repeat("a", length-len(text)-2) + `"}`
	}
	whole := pack(event(1000))
	damaged := []byte(whole)
	damaged[len(damaged)-5] ^= 1 // the checksum
	_, err := parse(pack(event(limit)))
	require.NoError(t, err, "the limit itself")
	for name, packed := range map[string]string{
		"one byte too long":     pack(event(limit + 1)),
		"a thousand times":      pack(strings.Repeat("a", 1000*limit)),
		"cut short":             whole[:len(whole)-1],
		"nothing but a header":  whole[:10],
		"not even that":         "\x1f\x8b",
		"a wrong checksum":      string(damaged),
		"something behind it":   whole + "{}",
		"packed twice":          pack(whole),
		"not an event, packed":  pack("paid"),
		"nothing at all packed": pack(""),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(packed)
			assert.ErrorIs(t, err, webhook.ErrMalformed)
			_, err = webhook.Parse([]byte(packed), signed("another"), secret)
			assert.ErrorIs(t, err, webhook.ErrInvalidSignature)
		})
	}
	tooLong := event(limit + 1)
	_, err = webhook.Parse([]byte(pack(tooLong)), signed(tooLong), secret)
	assert.ErrorIs(t, err, webhook.ErrInvalidSignature, "as much as would have to be unpacked to see the signature")
}

func TestHeadersAreFoundInAnyCase(t *testing.T) {
	body := published(t)
	for _, spelling := range []func(string) string{strings.ToLower, strings.ToUpper, strings.Clone} {
		header := http.Header{spelling("X-Connect-Signature"): {sign(body)}, spelling("X-Event-Id"): {"d1"}}
		event, err := webhook.Parse([]byte(body), header, secret)
		require.NoError(t, err)
		assert.Equal(t, "d1", event.DeliveryID)

		header[spelling("X-Connect-Signature")] = []string{sign(body), sign(body)}
		_, err = webhook.Parse([]byte(body), header, secret)
		assert.ErrorIs(t, err, webhook.ErrInvalidSignature)
	}
	for _, other := range []string{sign(body), sign("another"), ""} {
		header := http.Header{"X-Connect-Signature": {sign(body)}, "x-connect-signature": {other}}
		_, err := webhook.Parse([]byte(body), header, secret)
		assert.ErrorIs(t, err, webhook.ErrInvalidSignature, "two spellings are two signatures")
		assert.Equal(t, []string{sign(body)}, header["X-Connect-Signature"], "the header is the caller's")
	}
}

func TestTheTimeIsInUTC(t *testing.T) {
	for text, want := range map[string]time.Time{
		`"2026-03-10T11:22:18Z"`:          time.Date(2026, 3, 10, 11, 22, 18, 0, time.UTC),
		`"2026-03-10T11:22:18.250-03:00"`: time.Date(2026, 3, 10, 14, 22, 18, 250e6, time.UTC),
		`"2026-03-10T11:22:18.250-0300"`:  time.Date(2026, 3, 10, 14, 22, 18, 250e6, time.UTC),
		`"2026-03-10T11:22:18"`:           {},
		`1773152535`:                      {},
		`null`:                            {},
	} {
		event, err := parse(`{"eventType":"PING","eventAt":` + text + `}`)
		require.NoError(t, err)
		assert.Equal(t, want, event.At, text)
		assert.Equal(t, time.UTC, event.At.Location())
	}
}

func TestAnUnknownEventTypeIsParsed(t *testing.T) {
	tests := map[string]struct {
		body            string
		cashIn, cashOut bool
	}{
		"of a charge":                       {`{"eventType":"CASHIN_EXPIRED","data":{"transactionId":"t1","amount":10}}`, true, false},
		"of a charge, odd field":            {`{"eventType":"CASHIN_EXPIRED","data":{"status":1}}`, true, false},
		"of a charge, odd amount":           {`{"eventType":"CASHIN_EXPIRED","data":{"transactionId":"t1","amount":"?"}}`, true, false},
		"of a charge, without data":         {`{"eventType":"CASHIN_EXPIRED"}`, false, false},
		"of a payment":                      {`{"eventType":"CASHOUT_CANCELLED","data":{"transactionId":"t1"}}`, false, true},
		"of a payment, data of another":     {`{"eventType":"CASHOUT_CANCELLED","data":[]}`, false, false},
		"of another thing":                  {`{"eventType":"REBALANCE_DONE","data":{"transactionId":"t1"}}`, false, false},
		"in small letters":                  {`{"eventType":"cashin_paid","data":{"transactionId":"t1","amount":10}}`, false, false},
		"nearly known":                      {`{"eventType":"CASHIN","data":{"transactionId":"t1"}}`, false, false},
		"without anything else":             {`{"eventType":"PING"}`, false, false},
		"with data of another kind":         {`{"eventType":"PING","data":7}`, false, false},
		"with a character of another plane": {`{"eventType":"💸","data":{}}`, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			event, err := parse(test.body)
			require.NoError(t, err)
			var sent struct{ EventType webhook.EventType }
			require.NoError(t, json.Unmarshal([]byte(test.body), &sent))
			assert.Equal(t, sent.EventType, event.Type)
			assert.Equal(t, test.body, string(event.Raw))
			assert.Equal(t, test.cashIn, event.CashIn != nil)
			assert.Equal(t, test.cashOut, event.CashOut != nil)
		})
	}
}

func TestTheEventOutlivesTheCallersBuffer(t *testing.T) {
	want := published(t)
	body := []byte(want)
	event, err := webhook.Parse(body, signed(want), secret)
	require.NoError(t, err)
	key := event.Key()
	clear(body)
	assert.Equal(t, want, string(event.Raw))
	assert.Equal(t, key, event.Key())
	assert.Equal(t, "Test User", event.CashIn.Payer.Name)
}

func TestAReplayedBodyVerifiesAndHasTheSameKey(t *testing.T) {
	body := published(t)
	keys := make(map[string]bool)
	for _, delivery := range []string{"", "a", "b"} {
		header := signed(body)
		header.Set("X-Event-Id", delivery)
		event, err := webhook.Parse([]byte(body), header, secret)
		require.NoError(t, err)
		assert.Equal(t, delivery, event.DeliveryID)
		keys[event.Key()] = true
	}
	assert.Len(t, keys, 1)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(published(f)))
	for _, body := range []string{
		"", "null", "{}", `{"eventType":"PING"}`, `{"eventType":"PING","data":{"transactionId":"a/b","endToEndId":1}}`,
		`{"eventType":"CASHIN_X","data":{"amount":1e9}}`, `{"eventType":"CASHOUT_FAILED","data":{"transactionId":"t","failure":null}}`,
		`{"eventType":"CASHIN_PAID","data":{"transactionId":"t","amount":10.00,"payer":{"bankData":[]}}}`,
		`{"a":[{"b":1,"B":2}]}`, `{"eventType":"PING"} {}`, "{\"eventType\":\"\xff\"}", `{"eventType":"\ud800"}`, `{"eventType":"x","x":[1,]}`,
		"\ufeff{\"eventType\":\"PING\"}", "{\"eventType\":\"x\",\"\xe9\":1,\"é\":2}", pack(`{"eventType":"PING"}`), pack(pack(`{"eventType":"PING"}`)),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := webhook.Parse(body, signed(string(body)+"x"), secret)
		require.ErrorIs(t, err, webhook.ErrInvalidSignature)

		event, err := parse(string(body))
		if err != nil {
			require.ErrorIs(t, err, webhook.ErrMalformed)
			require.Nil(t, event)
			return
		}
		require.True(t, json.Valid(event.Raw))
		require.True(t, utf8.Valid(event.Raw))
		require.NotEmpty(t, event.Type)
		require.NotEmpty(t, event.Key())
		if json.Valid(body) && utf8.Valid(body) {
			require.Equal(t, body, []byte(event.Raw))
		}
		again, err := parse(string(event.Raw))
		require.NoError(t, err)
		require.Equal(t, event, again)
	})
}
