package measure

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// Series are what a monitoring system pays for.
func TestTheMetricsOfCallsHaveFewerThan200Series(t *testing.T) {
	count := 0
	for _, metric := range Table[:deliveries] {
		series := 0
		for _, s := range metric.Series() {
			if s.Listed {
				series++
			}
		}
		if metric.Kind == Histogram {
			series *= len(metric.Bounds) + 3 // infinity, the sum and the count
		}
		count += series
	}
	assert.Less(t, count, 200)
}

func TestEachMetricIsDescribedInFull(t *testing.T) {
	names := map[string]bool{}
	for _, metric := range Table {
		assert.Regexp(t, regexp.MustCompile(`^connectpsp(\.[a-z]+)+$`), metric.Name)
		assert.NotContains(t, names, metric.PrometheusName())
		names[metric.PrometheusName()] = true
		assert.Regexp(t, regexp.MustCompile(`^[A-Z].*\.$`), metric.Help, metric.Name)
		assert.Regexp(t, regexp.MustCompile(`^(s|\{[a-z]+\})$`), metric.Unit, metric.Name)
		assert.Equal(t, metric.Kind == Histogram, len(metric.Bounds) > 0, metric.Name)
		assert.IsIncreasing(t, append([]float64{0}, metric.Bounds...), metric.Name)
	}
}

// A constant that a list lacks would be counted as other.
func TestTheListsHaveEveryConstantOfTheSDK(t *testing.T) {
	for _, c := range []struct {
		dir, name string
		label     Label
		besides   []string // of the list, or of the constants
	}{
		{"connectpsp", "Operation", operation, []string{connectpsp.OperationAuthToken}},
		{"connectpsp", "CallOutcome", outcome, nil},
		{"connectpsp", "ErrorCode", code, nil},
		{"connectpsp", "RetryReason", reason, nil},
		{"webhook", "DeliveryResult", deliveryResult, nil},
		{"webhook", "EventType", eventType, nil},
		{"webhook", "Kind", kind, []string{noKind}},
		{"webhook", "ProcessingResult", processingResult, nil},
		{"webhook", "Status", status, nil},
	} {
		constants := constantsOf(t, filepath.Join("..", "..", c.dir), c.name)
		require.NotEmpty(t, constants, c.name)
		for _, value := range c.besides {
			assert.NotEqual(t, slices.Contains(constants, value), slices.Contains(c.label.Values, value), "%s %s", c.name, value)
		}
		assert.ElementsMatch(t, without(constants, c.besides), without(c.label.Values, c.besides), c.name)
	}
}

func TestAValueThatIsNotListedBecomesOther(t *testing.T) {
	assert.Equal(t, map[string]float64{
		`connectpsp.client.calls[other other]`:   1,
		`connectpsp.client.call.duration[other]`: 2,
		`connectpsp.client.refusals[other]`:      1,
		`connectpsp.client.recovered[other]`:     1,
	}, additionsOf(connectpsp.Call{Operation: "12345678909", Outcome: "12345678909", Code: "12345678909", Recovering: true, Duration: 2 * time.Second}))
}

func TestWhatAnActivityAdds(t *testing.T) {
	for name, c := range map[string]struct {
		activity any
		adds     map[string]float64
	}{
		"a call": {
			connectpsp.Call{Operation: "createCashOut", Outcome: "rejected", Code: "OTHER", Duration: 1500 * time.Millisecond},
			map[string]float64{
				"connectpsp.client.calls[createCashOut rejected]": 1, "connectpsp.client.refusals[OTHER]": 1,
				"connectpsp.client.call.duration[createCashOut]": 1.5,
			},
		},
		"a recovered payment": {
			connectpsp.Call{Operation: "createCashIn", Outcome: "accepted", Recovering: true},
			map[string]float64{
				"connectpsp.client.calls[createCashIn accepted]": 1, "connectpsp.client.recovered[accepted]": 1,
				"connectpsp.client.call.duration[createCashIn]": 0,
			},
		},
		"an attempt":                   {connectpsp.Attempt{Outcome: "accepted", Duration: time.Second}, map[string]float64{"connectpsp.client.attempts[accepted]": 1}},
		"an attempt whose caller left": {connectpsp.Attempt{Outcome: "unknown", Error: "canceled"}, map[string]float64{"connectpsp.client.attempts[canceled]": 1}},
		"an attempt whose caller left before it was sent": {connectpsp.Attempt{Outcome: "not_sent", Error: "canceled"}, map[string]float64{"connectpsp.client.attempts[canceled]": 1}},
		"an attempt that took too long":                   {connectpsp.Attempt{Outcome: "unknown", Error: "timeout"}, map[string]float64{"connectpsp.client.attempts[unknown]": 1}},
		"a retry with a deviation": {
			connectpsp.Attempt{Outcome: "unknown", Reason: "no_response", Deviation: "body"},
			map[string]float64{
				"connectpsp.client.attempts[unknown]": 1, "connectpsp.client.retries[no_response]": 1,
				"connectpsp.contract.deviations[body]": 1,
			},
		},
		"a token":                           {connectpsp.TokenRequest{Status: 200}, map[string]float64{"connectpsp.token.requests[ok]": 1}},
		"wrong credentials":                 {connectpsp.TokenRequest{Status: 401}, map[string]float64{"connectpsp.token.requests[refused]": 1}},
		"too many requests for a token":     {connectpsp.TokenRequest{Status: 429}, map[string]float64{"connectpsp.token.requests[failed]": 1}},
		"a gateway that fails for a token":  {connectpsp.TokenRequest{Status: 503}, map[string]float64{"connectpsp.token.requests[failed]": 1}},
		"a request for a token that is cut": {connectpsp.TokenRequest{Error: "timeout"}, map[string]float64{"connectpsp.token.requests[failed]": 1}},
		"a write to the journal": {
			connectpsp.JournalWrite{Step: "begin", Duration: time.Second},
			map[string]float64{"connectpsp.journal.write.duration[begin]": 1},
		},
		"a failed write to the journal": {
			connectpsp.JournalWrite{Step: "sent", Failed: true},
			map[string]float64{"connectpsp.journal.write.duration[sent]": 0, "connectpsp.journal.failures[sent]": 1},
		},
		"a stored event": {
			webhook.Delivery{Result: "stored", Type: "CASHIN_PAID", Duration: time.Second},
			map[string]float64{
				"connectpsp.webhook.deliveries[stored]": 1, "connectpsp.webhook.events[CASHIN_PAID]": 1,
				"connectpsp.webhook.delivery.duration[]": 1,
			},
		},
		"a duplicate": {
			webhook.Delivery{Result: "duplicate", Type: "CASHIN_PAID"},
			map[string]float64{"connectpsp.webhook.deliveries[duplicate]": 1, "connectpsp.webhook.delivery.duration[]": 0},
		},
		"an applied step": {
			webhook.Processing{Kind: "CASHIN", Result: "applied", To: "PAID", Lag: 2 * time.Second, LatePayment: true},
			map[string]float64{
				"connectpsp.webhook.processed[CASHIN applied]": 1, "connectpsp.webhook.steps[CASHIN PAID]": 1,
				"connectpsp.webhook.marks[late_payment]": 1, "connectpsp.webhook.lag[]": 2,
			},
		},
		"a payment by another person": {
			webhook.Processing{Kind: "CASHIN", Result: "applied", To: "PAID_BY_OTHER", PayerDocument: "same", PayerAccount: "different"},
			map[string]float64{
				"connectpsp.webhook.processed[CASHIN applied]": 1, "connectpsp.webhook.steps[CASHIN PAID_BY_OTHER]": 1,
				"connectpsp.webhook.marks[paid_by_other]": 1, "connectpsp.webhook.payer.checks[different same]": 1,
			},
		},
		"a payment by an unknown person": {
			webhook.Processing{Kind: "CASHIN", Result: "applied", To: "PAID_BY_UNKNOWN", PayerDocument: "unclear", PayerAccount: "unchecked"},
			map[string]float64{
				"connectpsp.webhook.processed[CASHIN applied]": 1, "connectpsp.webhook.steps[CASHIN PAID_BY_UNKNOWN]": 1,
				"connectpsp.webhook.marks[paid_by_unknown]": 1, "connectpsp.webhook.payer.checks[unchecked unclear]": 1,
			},
		},
		"an unrequested return": {
			webhook.Processing{Kind: "CASHIN", Result: "applied", To: "REFUNDED", Unrequested: true},
			map[string]float64{
				"connectpsp.webhook.processed[CASHIN applied]": 1, "connectpsp.webhook.steps[CASHIN REFUNDED]": 1,
				"connectpsp.webhook.marks[unrequested_return]": 1,
			},
		},
		"a return that may be a refund": {
			webhook.Processing{Kind: "CASHIN", Result: "applied", To: "REFUNDED", ReturnUnclear: true},
			map[string]float64{
				"connectpsp.webhook.processed[CASHIN applied]": 1, "connectpsp.webhook.steps[CASHIN REFUNDED]": 1,
				"connectpsp.webhook.marks[return_unclear]": 1,
			},
		},
		"a payment that is late": {
			webhook.Processing{Kind: "CASHOUT", Result: "applied", To: "PROCESSING", Late: true},
			map[string]float64{
				"connectpsp.webhook.processed[CASHOUT applied]": 1, "connectpsp.webhook.steps[CASHOUT PROCESSING]": 1,
				"connectpsp.webhook.marks[late]": 1,
			},
		},
		"an automatic refund": {
			webhook.Processing{Kind: "CASHIN", Result: "refunded"},
			map[string]float64{"connectpsp.webhook.processed[CASHIN refunded]": 1},
		},
		"a step whose function failed counts when it is applied": {
			webhook.Processing{Kind: "CASHIN", Result: "retried", To: "PAID", Lag: 2 * time.Second, MissedPayment: true, Panicked: true},
			map[string]float64{"connectpsp.webhook.processed[CASHIN retried]": 1, "connectpsp.webhook.marks[panic]": 1},
		},
		"an alarm about no known transaction": {
			webhook.Processing{Result: "held", Alarm: true},
			map[string]float64{"connectpsp.webhook.processed[none held]": 1, "connectpsp.webhook.marks[alarm]": 1},
		},
		"an activity of a later version": {struct{}{}, map[string]float64{}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.adds, additionsOf(c.activity))
		})
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	var activity any = connectpsp.Call{Operation: "createCashOut", Outcome: "unknown", Recovering: true}
	sum := 0.0
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		Each(activity, func(a Addition) { sum += a.Value })
	}))
}

// additionsOf returns what an activity adds, by name and labels.
func additionsOf(activity any) map[string]float64 {
	return collect(func(each func(Addition)) { Each(activity, each) })
}

func collect(from func(each func(Addition))) map[string]float64 {
	all := map[string]float64{}
	from(func(a Addition) {
		metric := Table[a.Metric]
		all[fmt.Sprint(metric.Name, metric.Series()[a.Series].Values)] += a.Value
	})
	return all
}

// constantsOf returns the values of the string constants of a type.
func constantsOf(t *testing.T, dir, name string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var values []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			spec, _ := node.(*ast.ValueSpec)
			if spec == nil || len(spec.Values) != 1 {
				return true
			}
			ident, _ := spec.Type.(*ast.Ident)
			literal, _ := spec.Values[0].(*ast.BasicLit)
			if ident != nil && ident.Name == name && literal != nil && literal.Kind == token.STRING {
				value, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				values = append(values, value)
			}
			return true
		})
	}
	return values
}

func without(values, besides []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return slices.Contains(besides, value) })
}
