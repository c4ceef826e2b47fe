package answer_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/answer"
	"github.com/connectpsp/connectpsp-go/pix"
)

// everything has a field of each kind that Plain tells apart.
type everything struct {
	Text    string                `json:"text"`
	Status  answer.ProblemDetails `json:"nested,omitempty"`
	Pointer *everything           `json:"pointer"`
	Amount  pix.Amount            `json:"amount"`
	Time    pix.Time              `json:"time"`
	Number  json.Number           `json:"number"`
	Int     int                   `json:"int"`
	List    []connectpsp.BankData `json:"list"`
	Any     any                   `json:"any"`
	Raw     json.RawMessage       `json:"raw"`
	Shadow  *pix.Amount           `json:"shadow"`
	Bool    bool                  `json:"bool"`
}

var plainBodies = []string{
	`{}`, " {\r\n\t} ", `{"text":"João","status":1,"amount":"1.5"}`, `{"text":"a\"b\\","time":"2026-03-10T11:20:00-03:00"}`,
	`{"text":"\u00e7\ud83d\ude00\ud800","unknown":"\n"}`, `{"pointer":{"pointer":{"text":""}},"nested":{"code":"C","status":7}}`,
	`{"amount":10.00,"number":-1.5e+3,"int":0,"list":[{"ispb":"1"},{}],"any":[1,{"a":null}],"raw":{"b":[ ]},"bool":true,"shadow":1}`,
	`{"text":null,"pointer":null,"amount":null,"time":null,"number":null,"list":null,"any":null,"raw":null,"bool":null,"nested":null,"shadow":null}`,
	`{"amount":1E+2}`, `{"time":{"not":"a time"},"unknown":[[],{},"",0,-0,1E5,true,false,null]}`, `{"text":"` + strings.Repeat("long ", 100) + `"}`,
}

var oddBodies = []string{
	``, ` `, `null`, `[]`, `"text"`, `1`, `{`, `}`, `{"text"}`, `{"text":}`, `{"text":"a"`, `{"text":"a",}`, `{"text":"a"}}`, `{,}`, `{"text":"a"}{}`,
	`{text:"a"}`, `{"text":'a'}`, `{"text":"a" "int":1}`, `{"text":"` + "\n" + `"}`, `{"text":"` + "\xff" + `"}`, `{"unknown":"` + "\xc3\x28" + `"}`,
	`{"text":"\x"}`, `{"unknown":"\x"}`, `{"unknown":"\u12"}`, `{"text":"\"}`, `{"unknown":01}`, `{"unknown":1.}`, `{"unknown":.1}`, `{"unknown":1e}`,
	`{"unknown":+1}`, `{"unknown":-}`, `{"unknown":nul}`, `{"unknown":truex}`, `{"unknown":[1,]}`, `{"unknown":[1 2]}`, `{"unknown":[`, `{"unknown":`,
	`{"text":1}`, `{"text":{}}`, `{"nested":"text"}`, `{"pointer":[]}`, `{"amount":"ten"}`, `{"amount":1e-3}`, `{"int":1.5}`, `{"number":"x"}`, `{"bool":0}`,
	`{"text":"a","text":"b"}`, `{"text":"a","TEXT":"b"}`, `{"Text":"a"}`, `{"unknown":1,"UnKnown":2}`, `{"unknown":{"a":1,"A":2}}`,
	`{"unknown":[{"a":1,"a":1}]}`, `{"raw":{"a":1,"a":1}}`, `{"te\u0078t":"a"}`, `{"ünknown":1}`, `{"boo\u006c":1}`,
	`{"unknown":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, `{"a":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat("}", 41),
	`{"a1":1,"a2":1,"a3":1,"a4":1,"a5":1,"a6":1,"a7":1,"a8":1,"a9":1,"a10":1,"a11":1,"a12":1,"a13":1,"a14":1,"a15":1,"a16":1,"a17":1}`,
}

func TestPlainReadsOnlyPlainJSON(t *testing.T) {
	for _, body := range plainBodies {
		assert.True(t, answer.Plain([]byte(body), new(everything)), body)
		asUnmarshal[everything](t, []byte(body))
	}
	for _, body := range oddBodies {
		assert.False(t, answer.Plain([]byte(body), new(everything)), body)
	}
}

func TestTheResponsesOfTheGatewayArePlain(t *testing.T) {
	charge := `{"transactionId":"t","status":"PAID","amount":10.00,"payer":{"name":"João","bankData":{"ispb":"00000000"}},"pixData":null,"paidAt":null}`
	assert.True(t, answer.Plain([]byte(charge), new(connectpsp.CashIn)))
	assert.True(t, answer.Plain([]byte(`{"transactionId":"t","payee":{"destination":{"bankAccount":{"ispb":"1"}}}}`), new(connectpsp.CashOut)))
	assert.True(t, answer.Plain([]byte(`{"success":true,"message":""}`), new(connectpsp.Rebalance)))
	assert.True(t, answer.Plain([]byte(`{"banks":[{"accounts":{"proprietary":{"balance":1.00}}}],"consolidated":{"totalBalance":1}}`), new(connectpsp.Balance)))
}

func TestPlainRefusesStructsItDoesNotSupport(t *testing.T) {
	type embedded struct{ answer.ProblemDetails }
	type quoted struct {
		N int `json:"n,string"`
	}
	type unnamed struct{ Name string }
	type alike struct {
		A string `json:"a"`
		B string `json:"A"`
	}
	assert.False(t, answer.Plain([]byte(`{}`), new(embedded)))
	assert.False(t, answer.Plain([]byte(`{}`), new(quoted)))
	assert.False(t, answer.Plain([]byte(`{}`), new(unnamed)))
	assert.False(t, answer.Plain([]byte(`{}`), new(alike)))
	type inside struct {
		Alike alike `json:"alike"`
	}
	assert.True(t, answer.Plain([]byte(`{}`), new(inside)))
	assert.False(t, answer.Plain([]byte(`{"alike":{}}`), new(inside)))
}

func TestDecodedTextsDoNotShareTheBuffer(t *testing.T) {
	body := []byte(`{"transactionId":"tx1","internalCode":"` + strings.Repeat("c", 70) + `"}`)
	var charge connectpsp.CashIn
	require.True(t, answer.Plain(body, &charge))
	clear(body)
	assert.Equal(t, connectpsp.CashIn{TransactionID: "tx1", InternalCode: strings.Repeat("c", 70)}, charge)
}

// A program may keep the ids of a million charges. Each came with an image of its QR code.
func TestAKeptIDDoesNotRetainTheQRCodeImage(t *testing.T) {
	image := strings.Repeat("i", 100_000)
	for name, body := range map[string]string{
		"before it": `{"transactionId":"tx1","pixData":{"qrCodeImageBase64":"` + image + `"}}`,
		"after it":  `{"pixData":{"qrCodeImageBase64":"` + image + `"},"transactionId":"tx1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			charge := new(connectpsp.CashIn)
			require.True(t, answer.Plain([]byte(body), charge))
			require.Equal(t, image, charge.PIXData.QRCodeImageBase64)
			id, held := charge.TransactionID, weak.Make(unsafe.StringData(charge.PIXData.QRCodeImageBase64))
			charge = nil
			runtime.GC()
			assert.Nil(t, held.Value(), "the image is still in memory")
			assert.Equal(t, "tx1", id)
		})
	}
}

func FuzzPlain(f *testing.F) {
	for _, body := range append(plainBodies, oddBodies...) {
		f.Add([]byte(body))
	}
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		asUnmarshal[everything](t, body)
		asUnmarshal[connectpsp.CashIn](t, body)
		asUnmarshal[connectpsp.CashOut](t, body)
		asUnmarshal[connectpsp.Balance](t, body)
	})
}

// asUnmarshal requires that what Plain reads json.Unmarshal reads as well, to the same, and that
// what it leaves is odd.
func asUnmarshal[T any](t *testing.T, body []byte) {
	var got, want T
	plain := answer.Plain(body, &got)
	err := json.Unmarshal(body, &want)
	if plain {
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.True(t, isPlain(body), "%q", body)
	}
}

// isPlain is told by encoding/json whether no two names in one object are alike.
func isPlain(body []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value func() bool
	value = func() bool {
		token, err := decoder.Token()
		delim, _ := token.(json.Delim)
		if err != nil || delim == 0 {
			return err == nil
		}
		var names []string
		for decoder.More() {
			if delim == '{' {
				name, _ := decoder.Token()
				for _, other := range names {
					if strings.EqualFold(other, name.(string)) {
						return false
					}
				}
				names = append(names, name.(string))
			}
			if !value() {
				return false
			}
		}
		_, err = decoder.Token()
		return err == nil
	}
	return value()
}
