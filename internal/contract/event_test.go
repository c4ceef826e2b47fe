package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withEvents reads a description with what is under webhooks, under x-webhooks, in an operation,
// and among the schemas.
func withEvents(t *testing.T, version, root, operation, schemas string) *API {
	t.Helper()
	text := fmt.Sprintf("openapi: %s\ninfo: {title: Events, version: 1.0.0}\npaths: {/a: {post: {responses: {'200': {description: ok}}%s}}}\n"+
		"components: {schemas: {%s}}\n%s\n", version, operation, schemas, root)
	api, err := Read([]byte(text))
	require.NoError(t, err, text)
	return api
}

func posted(schema string) string {
	return "{post: {requestBody: {content: {application/json: {schema: " + schema + "}}}, responses: {'200': {description: ok}}}}"
}

const (
	paid = "{type: object, properties: {eventType: {type: string, enum: [CASHIN_PAID]}, data: " +
		"{type: object, properties: {amount: {type: number}, payer: {type: object}}}}}"
	sentOut = "{type: object, properties: {eventType: {type: string, enum: [CASHOUT_COMPLETED]}, data: " +
		"{type: object, properties: {fee: {type: number}, payee: {type: object}}}}}"
)

func TestAnEventIsFoundWhereverADescriptionHasIt(t *testing.T) {
	const reference = "{$ref: '#/components/schemas/Paid'}"
	open := strings.Replace(paid, ", enum: [CASHIN_PAID]", "", 1)
	callback := func(schema string) string {
		return ", callbacks: {paid: {'{$request.body#/url}': " + posted(schema) + "}}"
	}
	for name, test := range map[string]struct{ version, root, operation, schemas, events string }{
		"under webhooks":        {"3.1.0", "webhooks: {paid: " + posted(paid) + "}", "", "", "CASHIN_PAID"},
		"by reference":          {"3.1.0", "webhooks: {paid: " + posted(reference) + "}", "", "Paid: " + paid, "CASHIN_PAID"},
		"under x-webhooks":      {"3.0.3", "x-webhooks: {the paid one: " + posted(paid) + "}", "", "", "CASHIN_PAID"},
		"in a callback":         {"3.0.3", "", callback(paid), "", "CASHIN_PAID"},
		"only among schemas":    {"3.0.3", "", "", "Paid: " + paid, "CASHIN_PAID"},
		"put together":          {"3.0.3", "", "", "Paid: {allOf: [" + paid + ", {properties: {eventAt: {type: string}}}]}", "CASHIN_PAID"},
		"one schema for all":    {"3.0.3", "", "", "Event: {oneOf: [" + paid + ", " + sentOut + "]}", "CASHIN_PAID CASHOUT_COMPLETED"},
		"one of null":           {"3.1.0", "webhooks: {paid: " + posted("{oneOf: [{type: 'null'}, "+paid+"]}") + "}", "", "", "CASHIN_PAID"},
		"of a plain text":       {"3.0.3", "", "", "Paid: " + open, "CASHIN_PAID CASHIN_REFUNDED"},
		"about something else":  {"3.1.0", "webhooks: {pong: " + posted("{type: object, properties: {at: {type: string}}}") + "}", "", "", "webhook pong"},
		"no event at all":       {"3.0.3", "", "", "Paid: {type: object, properties: {data: {type: string}}}", ""},
		"of no JSON":            {"3.1.0", "webhooks: {paid: {post: {requestBody: {content: {text/plain: {schema: {type: string}}}}, responses: {'200': {description: ok}}}}}", "", "", ""},
		"with data that is any": {"3.0.3", "", "", "Any: {type: object, properties: {eventType: {type: string}, data: {}}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			api := withEvents(t, test.version, test.root, test.operation, test.schemas)
			assert.Equal(t, test.events, strings.Join(sortedKeys(api.Events), " "))
		})
	}
}

// One body for all events has data that is one of two, of which each type has the one it is about.
func TestAnEventHasTheDataThatItsTypeIsAbout(t *testing.T) {
	data := "{oneOf: [{type: object, properties: {amount: {type: number}, payer: {type: object}}}, " +
		"{type: object, properties: {fee: {type: number}, payee: {type: object}}}]}"
	api := withEvents(t, "3.0.3", "", "", "Event: {type: object, properties: {eventType: {type: string}, data: "+data+"}}")
	assert.Equal(t, "CASHIN_PAID CASHIN_REFUNDED CASHOUT_COMPLETED CASHOUT_FAILED CASHOUT_REFUNDED", strings.Join(sortedKeys(api.Events), " "))
	assert.Equal(t, ":object, data:object, data.amount:number, data.payer:object, eventType:string", brief(api.Events["CASHIN_PAID"]))
	assert.Equal(t, ":object, data:object, data.fee:number, data.payee:object, eventType:string", brief(api.Events["CASHOUT_FAILED"]))
}

func TestDataThatIsAboutNeitherStaysAsItIs(t *testing.T) {
	data := "{oneOf: [{type: object, properties: {a: {type: string}}}, {type: object, properties: {b: {type: string}}}]}"
	api := withEvents(t, "3.0.3", "", "", "Event: {type: object, properties: {eventType: {type: string, enum: [PING]}, data: "+data+"}}")
	assert.Equal(t, ":object, data:object, data.a:string, data.b:string, eventType:string[PING]", brief(api.Events["PING"]))
}
