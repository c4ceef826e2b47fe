package measure

import (
	"cmp"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// Addition is what to add to a counter, to record in a histogram, or the value of a gauge.
type Addition struct {
	// Metric is an index into [Table].
	Metric int
	// Series is an index into the [Metric.Series] of that metric.
	Series int
	// Value is in the unit of the metric.
	Value float64
}

// Each calls add with each addition that an activity causes that has ended. It ignores activities
// that it does not know.
func Each(activity any, add func(Addition)) {
	count := counting(add)
	switch a := activity.(type) {
	case connectpsp.Call:
		count.call(a)
	case connectpsp.Attempt:
		count.attempt(a)
	case connectpsp.TokenRequest:
		count.one(tokenRequests, resultOf(a))
	case connectpsp.JournalWrite:
		count.time(journalDuration, a.Duration, a.Step)
		if a.Failed {
			count.one(journalFailures, a.Step)
		}
	case webhook.Delivery:
		count.one(deliveries, string(a.Result))
		count.time(deliveryDuration, a.Duration)
		if a.Result == webhook.DeliveryStored {
			count.one(events, string(a.Type))
		}
	case webhook.Processing:
		count.processing(a)
	}
}

// counting gets additions.
type counting func(Addition)

func (add counting) one(metric int, labels ...string) {
	add.value(metric, 1, labels...)
}

func (add counting) time(metric int, duration time.Duration, labels ...string) {
	add.value(metric, duration.Seconds(), labels...)
}

func (add counting) value(metric int, value float64, labels ...string) {
	add(Addition{metric, Table[metric].seriesOf(labels...), value})
}

func (add counting) call(a connectpsp.Call) {
	add.one(calls, a.Operation, string(a.Outcome))
	add.time(callDuration, a.Duration, a.Operation)
	if a.Code != "" {
		add.one(refusals, string(a.Code))
	}
	if a.Recovering {
		add.one(recovered, string(a.Outcome))
	}
}

func (add counting) attempt(a connectpsp.Attempt) {
	if a.Error == canceled {
		add.one(attempts, canceled)
	} else {
		add.one(attempts, string(a.Outcome))
	}
	if a.Reason != "" {
		add.one(retries, string(a.Reason))
	}
	if a.Deviation != "" {
		add.one(deviations, a.Deviation)
	}
}

func (add counting) processing(a webhook.Processing) {
	itemKind := cmp.Or(string(a.Kind), noKind)
	add.one(processed, itemKind, string(a.Result))
	if a.Alarm {
		add.one(marks, "alarm")
	}
	if a.Panicked {
		add.one(marks, "panic")
	}
	if a.Result != webhook.ProcessingApplied {
		return // only an applied item has a step; one that is retried counts when it is applied
	}
	if a.To != "" {
		add.one(steps, itemKind, string(a.To))
	}
	if a.Lag > 0 {
		add.time(lag, a.Lag)
	}
	if a.PayerDocument != "" {
		add.one(payerChecks, a.PayerAccount, a.PayerDocument)
	}
	for _, mark := range [...]struct {
		set  bool
		name string
	}{
		{a.MissedPayment, "missed_payment"},
		{a.LatePayment, "late_payment"},
		{a.Contradiction, "contradiction"},
		{a.To == webhook.StatusPaidByOther, "paid_by_other"},
		{a.To == webhook.StatusPaidByUnknown, "paid_by_unknown"},
		{a.Unrequested, "unrequested_return"},
		{a.ReturnUnclear, "return_unclear"},
		{a.Late, "late"},
	} {
		if mark.set {
			add.one(marks, mark.name)
		}
	}
}

// resultOf is the result of a request for a token. A refusal that a retry may end, such as a 429,
// is a failure.
func resultOf(a connectpsp.TokenRequest) string {
	switch {
	case a.Error != "":
		return "failed"
	case a.Status/100 == 2:
		return "ok"
	case (&auth.Error{StatusCode: a.Status}).Temporary():
		return "failed"
	default:
		return "refused"
	}
}
