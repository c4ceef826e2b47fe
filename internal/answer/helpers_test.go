package answer_test

import "testing"

func seeds(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `"x"`, `{"code":"X","status":422}`, `{"code":17,"detail":["x"]}`,
		`{"transactionId":"tx1","status":"COMPLETED","amount":10.50,"payee":{"name":"n","document":"12345678909"}}`,
		`{"transactionId":7,"amount":10.505,"requestedAt":"yesterday","failure":[]}`,
		`{"amount":"x","Amount":1,"AMOUNT":2}`,
		`{"currency":"BRL","consolidated":{"totalBalance":1.505},"banks":[{"accounts":{"proprietary":{"balance":1e9}}},7,null]}`,
		`{"banks":{"a":1},"updatedAt":[]}`, "{\"\\u0000\":1,\"\xff\":2}", `{"a":{"b":{"c":[[[[]]]]}}}`, `{"x":1}{"y":2}`,
	} {
		f.Add([]byte(body))
	}
}
