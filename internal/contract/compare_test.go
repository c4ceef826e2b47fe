package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

// What follows are types as the SDK has them.
type (
	order struct {
		Amount pix.Amount `json:"amount"`
		Note   string     `json:"note,omitzero"`
		Kind   orderKind  `json:"kind"`
		Buyer  *buyer     `json:"buyer,omitzero"`
	}
	buyer struct {
		Name string `json:"name"`
	}
	ticket struct {
		ID     string       `json:"id"`
		Total  pix.Amount   `json:"total"`
		Status ticketStatus `json:"status"`
		PaidAt pix.Time     `json:"paidAt,omitzero"`
		Count  int          `json:"count,omitzero"`
		Open   bool         `json:"open,omitzero"`
		Seats  []seat       `json:"seats,omitzero"`
	}
	seat struct {
		Row string `json:"row"`
	}
	told struct {
		EventType toldType `json:"eventType"`
		Data      ticket   `json:"data"`
	}
	fault struct {
		Code string `json:"code"`
	}
	orderKind    string
	ticketStatus string
	toldType     string
)

const (
	orderOpen        orderKind    = "OPEN"
	orderFixed       orderKind    = "FIXED"
	ticketPaid       ticketStatus = "PAID"
	ticketOnHold     ticketStatus = "ON_HOLD"
	toldPaid         toldType     = "CASHIN_PAID"
	toldRefunded     toldType     = "CASHIN_REFUNDED"
	describedTickets              = `openapi: 3.0.3
info: {title: Tickets, version: 1.0.0}
security: [{token: []}]
paths:
  /tickets:
    post:
      parameters:
        - {name: ApplicationToken, in: header, required: true, schema: {type: string}}
        - {name: DigitalSignature, in: header, required: true, schema: {type: string}}
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [amount, kind]
              properties:
                amount: {type: number}
                note: {type: string}
                kind: {type: string, enum: [OPEN, FIXED]}
                buyer: {type: object, properties: {name: {type: string}}}
      responses:
        '201':
          description: Made.
          content: {application/json: {schema: {$ref: '#/components/schemas/Ticket'}}}
        '422':
          description: Refused.
          content: {application/problem+json: {schema: {type: object, properties: {code: {type: string}}}}}
components:
  securitySchemes: {token: {type: http, scheme: bearer}}
  schemas:
    Ticket:
      type: object
      properties:
        id: {type: string}
        total: {type: number}
        status: {type: string, enum: [PAID, ON_HOLD]}
        paidAt: {type: string, format: date-time}
        count: {type: integer}
        open: {type: boolean}
        seats: {type: array, items: {type: object, properties: {row: {type: string}}}}
    Told:
      type: object
      properties:
        eventType: {type: string, enum: [CASHIN_PAID, CASHIN_REFUNDED]}
        data: {$ref: '#/components/schemas/Ticket'}
`
)

// differing tells how the types above differ from their description with a part of it replaced.
func differing(t *testing.T, change func(*Traffic), replacements ...string) Report {
	t.Helper()
	text := describedTickets
	for i := 0; i < len(replacements); i += 2 {
		require.Contains(t, text, replacements[i])
		text = strings.Replace(text, replacements[i], replacements[i+1], 1)
	}
	api, err := Read([]byte(text))
	require.NoError(t, err, text)
	facts := Facts{
		"POST /tickets response":     {"id": "published", "total": "published", "paidAt": "assumed", "status": "seen"},
		"POST /tickets request":      {"note": "published"},
		"GET /cash-in/{id} response": {"total": "published"},
		"event":                      {"eventType": "published"},
	}
	ours := Traffic{Operation: "POST /tickets", Signed: true, Request: order{}, Response: ticket{}, Problem: fault{}}
	if change != nil {
		change(&ours)
	}
	changes, err := Differences(api, facts, []Traffic{ours, {Operation: "POST /tickets", Signed: true}},
		[]Webhook{{About: "cash-in", Types: []string{"CASHIN_PAID", "CASHIN_REFUNDED"}, Body: told{}}})
	require.NoError(t, err)
	return NewReport("The SDK", "", "", changes)
}

func TestTypesThatFollowTheDescriptionHaveNoDifference(t *testing.T) {
	assert.Empty(t, differing(t, nil).Changes)
}

func TestADifferenceSaysWhatItDoesAndWhatToAdd(t *testing.T) {
	const total = "        total: {type: number}\n"
	for name, test := range map[string]struct {
		from, to string
		level    Level
		says     string
	}{
		"an amount as text":               {"total: {type: number}", "total: {type: string}", Breaking, "`total` is a text: the SDK reads amounts as numbers (ticket.Total)"},
		"an amount as text that is sent":  {"amount: {type: number}", "amount: {type: string}", Breaking, "`amount` is a text: the SDK sends amounts as numbers (order.Amount)"},
		"centavos":                        {"total: {type: number}", "total: {type: integer}", Breaking, "R$ 10.50 would pass for R$ 1,050.00 (ticket.Total)"},
		"centavos that are sent":          {"amount: {type: number}", "amount: {type: integer}", Breaking, "if it counts centavos"},
		"an id as a number":               {"id: {type: string}", "id: {type: integer}", Breaking, "`id` is a number: the SDK reads a text (ticket.ID), and a number would be lost"},
		"a flag as text":                  {"open: {type: boolean}", "open: {type: string}", Breaking, "`open` is of type string: the SDK reads boolean (ticket.Open)"},
		"a count with decimals":           {"count: {type: integer}", "count: {type: number}", Nothing, ""},
		"an id of either type":            {"id: {type: string}", "id: {oneOf: [{type: string}, {type: integer}]}", Nothing, ""},
		"a body that is a list":           {"    Ticket:\n      type: object", "    Ticket:\n      type: array\n      items: {}", Breaking, "it is of type array, and the SDK has an object"},
		"a new text":                      {total, total + "        endToEndId: {type: string}\n", Additive, "To have it, add to ticket: EndToEndID string `json:\"endToEndId,omitzero\"`"},
		"a new time":                      {total, total + "        refundedAt: {type: string, format: date-time}\n", Additive, "RefundedAt pix.Time"},
		"a new amount":                    {total, total + "        fee: {type: number}\n", Additive, "Fee pix.Amount"},
		"a new number":                    {total, total + "        rate: {type: number}\n", Additive, "Is it an amount of money?"},
		"a new list":                      {total, total + "        tags: {type: array, items: {type: string}}\n", Additive, "Tags []…"},
		"a new object":                    {total, total + "        payer: {type: object}\n", Additive, "Payer *Payer"},
		"a new member of an element":      {"row: {type: string}", "row: {type: string}, aisle: {type: boolean}", Additive, "To have it, add to seat: Aisle bool"},
		"members of any name":             {"    Ticket:\n      type: object", "    Ticket:\n      type: object\n      additionalProperties: {type: string}", Additive, "it has members of any name"},
		"a new value":                     {"[PAID, ON_HOLD]", "[PAID, ON_HOLD, PAID_TWICE]", Additive, "To have it, add: ticketPaidTwice ticketStatus = \"PAID_TWICE\""},
		"a value without a text":          {"[PAID, ON_HOLD]", "[PAID, ON_HOLD, '']", Additive, "To have it, add: ticket ticketStatus = \"\""},
		"a value with odd lines":          {"[PAID, ON_HOLD]", "[PAID, ON_HOLD, A__B]", Additive, "ticketAB"},
		"a member without a name inside":  {"row: {type: string}", "row: {type: string}, '': {type: string}", Additive, ""},
		"a value that never comes":        {"[PAID, ON_HOLD]", "[PAID]", Additive, "`status` is never ON_HOLD by the description"},
		"a value that is refused":         {"[OPEN, FIXED]", "[OPEN]", Breaking, "`kind` may not be FIXED, which orderKind offers"},
		"a published member gone":         {"        id: {type: string}\n", "", Breaking, "the description lacks `id`, which is published: ticket.ID would be empty"},
		"an assumed member gone":          {"        paidAt: {type: string, format: date-time}\n", "", Additive, "lacks `paidAt`, which was only assumed: ticket.PaidAt may always be empty"},
		"a seen member gone":              {"        status: {type: string, enum: [PAID, ON_HOLD]}\n", "", Additive, "which was only seen"},
		"a published member sent no more": {"                note: {type: string}\n", "", Breaking, "the gateway may not read order.Note"},
		"a list gone with its elements":   {"        seats: {type: array, items: {type: object, properties: {row: {type: string}}}}\n", "", Additive, "lacks `seats`"},
		"a member that has moved":         {total, "        sums: {type: object, properties: {total: {type: number}}}\n", Breaking, "`total` is now `sums.total`: ticket.Total would always be empty"},
		"a sent member that has moved":    {"note: {type: string}", "texts: {type: object, properties: {note: {type: string}}}", Breaking, "`note` is now `texts.note`: the gateway would not find what the SDK sends as order.Note"},
		"an answer that is wrapped":       {"application/json: {schema: {$ref: '#/components/schemas/Ticket'}}", "application/json: {schema: {type: object, properties: {data: {$ref: '#/components/schemas/Ticket'}}}}", Breaking, "its members are inside of `data`: every field of the SDK would be empty"},
		"a new required member to send":   {"required: [amount, kind]", "required: [amount, kind, purpose]", Breaking, "`purpose` is required, and the SDK does not send it: it would be refused. To have it, add to order: Purpose string"},
		"a required member left out":      {"required: [amount, kind]", "required: [amount, kind, note]", Additive, "the SDK leaves it out when order.Note is empty"},
		"a new member to send":            {"note: {type: string}", "note: {type: string}\n                purpose: {type: string}", Additive, "the SDK lacks `purpose`"},
		"a problem without its code":      {"properties: {code: {type: string}}", "properties: {reason: {type: string}}", Additive, "lacks `code`"},
		"no body to send":                 {"application/json:\n            schema:\n              type: object\n              required", "text/plain:\n            schema:\n              type: object\n              required", Additive, "POST /tickets request: the description has no JSON body for it"},
		"no body that is answered":        {"content: {application/json", "content: {text/plain", Additive, "POST /tickets response: the description has no JSON body for it"},
		"the operation gone":              {"/tickets:\n    post", "/tickets:\n    put", Breaking, "the description lacks it: the SDK sends it all the same"},
		"an operation more":               {"paths:\n", "paths:\n  /ping: {get: {responses: {'204': {description: ok}}}}\n", Additive, "GET /ping: the SDK has no method for it; see CONTRIBUTING.md"},
		"an event more":                   {"[CASHIN_PAID, CASHIN_REFUNDED]", "[CASHIN_PAID, CASHIN_REFUNDED, CASHIN_EXPIRED]", Additive, "event CASHIN_EXPIRED: the SDK has no constant for it"},
		"an event less":                   {"[CASHIN_PAID, CASHIN_REFUNDED]", "[CASHIN_PAID]", Additive, "the description has no event CASHIN_REFUNDED"},
		"no event":                        {"    Told:\n      type: object\n      properties:\n        eventType", "    Told:\n      type: object\n      properties:\n        kind", Additive, "event about a cash-in: the description has no event about it"},
		"no signature":                    {"        - {name: DigitalSignature, in: header, required: true, schema: {type: string}}\n", "", Additive, "does not declare the header DigitalSignature; the SDK sends it all the same"},
		"a required key":                  {"      requestBody", "        - {name: X-Idempotency-Key, in: header, required: true, schema: {type: string}}\n      requestBody", Breaking, "it needs the header X-Idempotency-Key, and the SDK sends none"},
		"a key":                           {"      requestBody", "        - {name: X-Idempotency-Key, in: header, schema: {type: string}}\n      requestBody", Additive, "it takes the header X-Idempotency-Key; the SDK sends none"},
		"another required header":         {"      requestBody", "        - {name: X-Tenant, in: header, required: true, schema: {type: string}}\n      requestBody", Breaking, "the header X-Tenant parameter is required, and the SDK does not send it"},
		"a parameter":                     {"      requestBody", "        - {name: dry, in: query, schema: {type: boolean}}\n      requestBody", Additive, "it takes the query dry parameter"},
		"no token needed":                 {"security: [{token: []}]\n", "", Additive, "it needs no access token by the description"},
	} {
		t.Run(name, func(t *testing.T) {
			report := differing(t, nil, test.from, test.to)
			assert.Equal(t, test.level, report.Level(), report.String())
			assert.Contains(t, report.String(), test.says)
		})
	}
}

func TestAnOperationThatTheSDKTakesForPublicBreaksIfItIsNot(t *testing.T) {
	report := differing(t, func(ours *Traffic) { ours.Public = true })
	assert.Contains(t, report.String(), "breaking   POST /tickets: it needs an access token, and the SDK sends none")
}

// The name of a parameter in a path is nothing that is sent.
func TestPathsAreComparedWithoutTheNamesOfParameters(t *testing.T) {
	api, err := Read([]byte("openapi: 3.0.3\ninfo: {title: a, version: '1'}\npaths: {'/a/{b}': {get: {parameters: " +
		"[{name: b, in: path, required: true, schema: {type: string}}], responses: {'204': {description: ok}}}}}\n"))
	require.NoError(t, err)
	changes, err := Differences(api, Facts{}, []Traffic{{Operation: "GET /a/{id}", Public: true}}, nil)
	require.NoError(t, err)
	assert.Empty(t, changes)
}

func TestTheDataOfAnEventIsAsCertainAsTheResponseOfARead(t *testing.T) {
	facts := Facts{"GET /cash-in/{id} response": {"amount": "published"}, "event": {"eventType": "seen"}}
	assert.Equal(t, "published", facts.sure("event about a cash-in", "data.amount"))
	assert.Equal(t, "seen", facts.sure("event about a cash-in", "eventType"))
	assert.Equal(t, "assumed", facts.sure("event about a cash-in", "data.unheardOf"))
}

func TestFactsAreReadFromTheirTableOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "SOURCE.md")
	_, err := ReadFacts(file)
	require.Error(t, err)
	require.NoError(t, os.WriteFile(file, []byte("| a | b |\n|---|---|\n| `c` | `d` |\n"), 0o600))
	_, err = ReadFacts(file)
	require.ErrorContains(t, err, "no table of what is published")
	require.NoError(t, os.WriteFile(file, []byte("| body | published | seen | assumed |\n|---|---|---|---|\n| `GET /a` response | `b` `c.d` | `e` | |\n\n| x | `y` | | |\n"), 0o600))
	facts, err := ReadFacts(file)
	require.NoError(t, err)
	assert.Equal(t, Facts{"GET /a response": {"b": "published", "c.d": "published", "e": "seen"}}, facts)
}

// tester takes notes of what a test would log.
type tester struct {
	testing.TB
	failed, logged []string
}

func (f *tester) Helper()                        {}
func (f *tester) Errorf(format string, _ ...any) { f.failed = append(f.failed, format) }
func (f *tester) Logf(format string, _ ...any)   { f.logged = append(f.logged, format) }

func TestABreakingDifferenceFailsATestAndAnAdditiveOneIsLogged(t *testing.T) {
	var notes tester
	Compare(&notes, []Traffic{{Operation: "GET /nowhere"}, {Operation: "POST /cash-in"}}, nil)
	assert.NotEmpty(t, notes.failed)
	assert.NotEmpty(t, notes.logged)
}
