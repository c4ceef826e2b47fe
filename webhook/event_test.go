package webhook_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestDifferentEventsHaveDifferentKeys(t *testing.T) {
	seen := make(map[string]string)
	see := func(event webhook.Event, what string) {
		key := event.Key()
		assert.Empty(t, seen[key], "%s has the key of another: %s", what, key)
		seen[key] = what
	}
	// Ids with the separators of keys, and with parts that could belong to the next id.
	ids := []string{"a", "A", "b", "a/b", "a%2Fb", "a%252Fb", "/", "a/", "/a", " ", "\x00", "é", "a|b", "a:b", "1:a", "sha256:a", "💸"}
	for _, kind := range []webhook.EventType{"CASHIN_PAID", "CASHIN_REFUNDED", "CASHIN_PAID/a", "CASHIN_PAID%2Fa", ""} {
		for _, transaction := range ids {
			for _, endToEnd := range append(ids, "") {
				see(webhook.Event{Type: kind, CashIn: &connectpsp.CashIn{TransactionID: transaction, EndToEndID: endToEnd}},
					fmt.Sprintf("%q %q %q", kind, transaction, endToEnd))
			}
		}
		for _, raw := range []string{`{}`, `{"data":{}}`} {
			see(webhook.Event{Type: kind, Raw: []byte(raw)}, fmt.Sprintf("%q %s", kind, raw))
			// The digest as an id.
			digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(raw)))
			see(webhook.Event{Type: kind, CashIn: &connectpsp.CashIn{TransactionID: "a", EndToEndID: digest}},
				fmt.Sprintf("%q %q %q", kind, "a", digest))
		}
	}
	for key := range seen {
		assert.Regexp(t, `^[!-.0-~]*(/[!-.0-~]*){1,2}$`, key)
	}
}

func TestTheKeyIsReadable(t *testing.T) {
	event, err := parse(published(t))
	require.NoError(t, err)
	assert.Equal(t, "CASHIN_PAID/kk6g232xel65a0daee4dd13kk2912714964/E00416968202603101827cemeFscF6AG", event.Key())
}

func TestAMissingEndToEndIDHasTheKeyOfNull(t *testing.T) {
	for _, member := range []string{``, `,"endToEndId":null`, `,"endToEndId":""`, `,"endToEndId":7`} {
		for _, kind := range []string{"CASHOUT_FAILED", "CASHOUT_NEW", "PING"} {
			event, err := parse(`{"eventType":"` + kind + `","data":{"transactionId":"t1"` + member + `}}`)
			require.NoError(t, err)
			assert.Equal(t, kind+"/t1/", event.Key())
		}
	}
}

// An event must keep its key when a later version of the SDK supports its type, or it would be
// applied twice.
func TestTheKeyDoesNotDependOnTheVersionOfTheSDK(t *testing.T) {
	for _, kind := range []string{"CASHIN_PAID", "CASHIN_NEW", "CASHOUT_COMPLETED", "CASHOUT_NEW", "NEW"} {
		event, err := parse(`{"eventType":"` + kind + `","data":{"transactionId":"t1","endToEndId":"E1","amount":1}}`)
		require.NoError(t, err)
		assert.Equal(t, kind+"/t1/E1", event.Key())
		event.CashIn, event.CashOut = nil, nil
		assert.Equal(t, kind+"/t1/E1", event.Key())
	}
}

func TestTheKeyOfAnEventWithoutATransactionIsADigestOfItsBody(t *testing.T) {
	for _, data := range []string{`{}`, `{"transactionId":1}`, `{"transactionId":null,"endToEndId":"E1"}`, `{"transactionId":""}`, `[]`, `7`, `null`} {
		for _, kind := range []string{"PING", "CASHIN_NEW", "CASHOUT_NEW"} {
			first, err := parse(`{"eventType":"` + kind + `","data":` + data + `}`)
			require.NoError(t, err)
			assert.Regexp(t, `^`+kind+`/sha256:[0-9a-f]{64}$`, first.Key())
			first.DeliveryID = "another attempt"
			again, err := parse(string(first.Raw))
			require.NoError(t, err)
			assert.Equal(t, again.Key(), first.Key())
			other, err := parse(`{"eventType":"` + kind + `","data":` + data + `,"n":1}`)
			require.NoError(t, err)
			assert.NotEqual(t, first.Key(), other.Key())
		}
	}
}

func TestALoggedEventHoldsNoPersonalData(t *testing.T) {
	event, err := parse(published(t))
	require.NoError(t, err)
	event.DeliveryID = "d1"
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		for kind, value := range map[string]any{"pointer": event, "value": *event} {
			t.Run(name+" of a "+kind, func(t *testing.T) {
				var out bytes.Buffer
				slog.New(handler(&out)).Info("received", "event", value)
				for _, shown := range []string{"CASHIN_PAID", "2026-03-10T11:22:18", "d1", event.Key()} {
					assert.Contains(t, out.String(), shown)
				}
				for _, hidden := range []string{"Test User", "12345678909", "Banco do Brasil", "123456", "test-order-001"} {
					assert.NotContains(t, out.String(), hidden)
				}
			})
		}
	}
}

func TestAPrintedEventHoldsNoPersonalData(t *testing.T) {
	event, err := parse(published(t))
	require.NoError(t, err)
	for _, printed := range []string{
		fmt.Sprint(event), fmt.Sprint(*event), fmt.Sprintf("%+v", event), fmt.Sprintf("%q", *event),
		fmt.Sprint([]*webhook.Event{event}), fmt.Sprintf("%v", []webhook.Event{*event}),
	} {
		assert.Contains(t, printed, "CASHIN_PAID "+event.Key())
		for _, hidden := range []string{"Test User", "12345678909", "Banco do Brasil", "test-order-001"} {
			assert.NotContains(t, printed, hidden)
		}
	}
}

// The event of a payment that is sent again after its return may hold both end-to-end ids.
func TestALateRedeliveryOfAPaymentKeepsItsKey(t *testing.T) {
	for _, kind := range []webhook.EventType{webhook.CashInPaid, webhook.CashOutCompleted} {
		first := webhook.Event{Type: kind, CashIn: &connectpsp.CashIn{TransactionID: "a", EndToEndID: "E1"}}
		late := webhook.Event{Type: kind, CashIn: &connectpsp.CashIn{TransactionID: "a", EndToEndID: "D1", OriginalEndToEndID: "E1"}}
		assert.Equal(t, first.Key(), late.Key())
	}
	one := webhook.Event{Type: webhook.CashInRefunded, CashIn: &connectpsp.CashIn{TransactionID: "a", EndToEndID: "D1", OriginalEndToEndID: "E1"}}
	other := webhook.Event{Type: webhook.CashInRefunded, CashIn: &connectpsp.CashIn{TransactionID: "a", EndToEndID: "D2", OriginalEndToEndID: "E1"}}
	assert.NotEqual(t, one.Key(), other.Key(), "a payment may be returned in parts")
}

func TestUUIDsAreComparedWithoutCase(t *testing.T) {
	capitals := func(body string) string { return strings.Replace(body, paymentID, strings.ToUpper(paymentID), 1) }
	r := newReceiver(t, webhook.WithConfirmation(pix.Centavos(0)))
	shouted := payment(webhook.StatusCompleted)
	shouted.id = strings.ToUpper(paymentID)
	r.bank.set(shouted)
	r.bank.transactions[paymentID] = shouted
	r.receive(t, completed, capitals(completed), capitals(completed))
	assert.Equal(t, ">COMPLETED", r.books.String())
	assert.Equal(t, webhook.Counts{Stored: 1, Conflicting: 1, Duplicates: 1}, r.Handler.Counts())
	r.bank.set(payment(webhook.StatusRefunded))
	r.receive(t, returned)
	assert.Equal(t, ">COMPLETED, COMPLETED>REFUNDED", r.books.String())
	assert.Empty(t, r.reasons())

	one, err := parse(completed)
	require.NoError(t, err)
	other, err := parse(capitals(completed))
	require.NoError(t, err)
	assert.Equal(t, one.Key(), other.Key())
	one, err = parse(paid)
	require.NoError(t, err)
	other, err = parse(strings.Replace(paid, chargeID, strings.ToUpper(chargeID), 1))
	require.NoError(t, err)
	assert.NotEqual(t, one.Key(), other.Key(), "of other ids the capitals matter")
}
