package webhook

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/answer"
	"github.com/connectpsp/connectpsp-go/pix"
)

// FuzzEnvelope compares answer.Plain with parseStrict: an event that the first accepts, the second
// must read the same way.
func FuzzEnvelope(f *testing.F) {
	for _, body := range []string{
		`{"eventType":"CASHIN_PAID","eventAt":"2026-03-10T11:22:18Z","data":{"a":[{"b":"ç"}]}}`, `{"eventType":null,"data":1}`,
		`{"eventType":"CASHIN_PAI\u0044","eventAt":0,"data":{"a":1,"A":1}}`, `{"data":{"ſ":1,"s":1}}`, `{"data":{"k":1,"\u212a":1}}`, `{}`,
		`{"EVENTTYPE":"X"}`, `{"eventType":"X"}{}`, `{"eventType":"X",}`, "{\"eventType\":\"\xff\"}", `[]`, `null`, `{"data":[[[[[[]]]]]]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var quick envelope
		if !answer.Plain(body, &quick) {
			return
		}
		thorough, err := parseStrict(body)
		require.NoError(t, err)
		require.Equal(t, thorough.EventAt, quick.EventAt)
		require.Equal(t, string(thorough.EventType), string(quick.EventType))
		require.Equal(t, string(thorough.Data), string(quick.Data))
		var kind EventType
		_ = json.Unmarshal(thorough.EventType, &kind)
		require.Equal(t, kind, quick.EventType.eventType())
	})
}

// Another number that the SDK takes for an amount, and the provider does not, is no reason to
// confirm.
func TestOnlyTheAmountOfATransactionMakesItDoubtful(t *testing.T) {
	for data, doubtful := range map[string]bool{
		`{"amount":10.50,"rate":1.125}`: false, `{"rate":1.125,"amount":10.50}`: false, `{"amount":10.50}`: false, `{}`: false,
		`{"amount":10.505,"rate":1.25}`: true, `{"amount":10.505}`: true,
	} {
		var event Event
		var transaction struct {
			Amount pix.Amount `json:"amount"`
			Rate   pix.Amount `json:"rate"`
		}
		require.NoError(t, event.decodeInto(&transaction, &transaction.Amount, []byte(data)))
		require.Equal(t, doubtful, event.amountUnreadable, data)
	}
}
