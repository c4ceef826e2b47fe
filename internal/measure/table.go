package measure

import (
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// The metrics, by their index in Table.
const (
	calls = iota
	refusals
	callDuration
	attempts
	retries
	recovered
	deviations
	tokenRequests
	journalDuration
	journalFailures
	deliveries
	events
	deliveryDuration
	processed
	steps
	marks
	payerChecks
	lag
	openPayments
	oldestAge
	overdue
	inboxDue
	inboxHeld
	inboxLag
	gaugeErrors
)

// Table has all metrics. It is never modified.
//
// The metrics of calls, attempts, tokens and the journal have fewer than 200 series, buckets
// included.
var Table = [...]Metric{
	calls: {
		Name: "connectpsp.client.calls", Unit: "{call}", Labels: []Label{operation, outcome},
		Help: "Calls of the client that ended. An unknown outcome means that the money may have moved.",
	},
	refusals: {
		Name: "connectpsp.client.refusals", Unit: "{call}", Labels: []Label{code},
		Help: "Calls that ended with an error code of the gateway.",
	},
	callDuration: {
		Name: "connectpsp.client.call.duration", Unit: "s", Labels: []Label{operation},
		Kind: Histogram, Bounds: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30},
		Help: "How long calls took, with their attempts and the waits between them.",
	},
	attempts: {
		Name: "connectpsp.client.attempts", Unit: "{request}", Labels: []Label{{"outcome", []string{
			string(connectpsp.CallAccepted), string(connectpsp.CallRejected),
			string(connectpsp.CallNotSent), string(connectpsp.CallUnknown), canceled,
		}}},
		Help: "Requests to the gateway, without those for tokens, by what each proves about itself. Canceled: the caller left.",
	},
	retries: {
		Name: "connectpsp.client.retries", Unit: "{request}", Labels: []Label{reason},
		Help: "Requests that repeated an earlier one of their call, by reason.",
	},
	recovered: {
		Name: "connectpsp.client.recovered", Unit: "{call}", Labels: []Label{outcome},
		Help: "Payments of earlier calls that Recover tried to settle. They are calls too.",
	},
	deviations: {
		Name: "connectpsp.contract.deviations", Unit: "{response}", Labels: []Label{deviation},
		Help: "Responses that deviate from the gateway's description.",
	},
	tokenRequests: {
		Name: "connectpsp.token.requests", Unit: "{request}", Labels: []Label{tokenResult},
		Help: "Requests for access tokens. A refused one means that the credentials are wrong.",
	},
	journalDuration: {
		Name: "connectpsp.journal.write.duration", Unit: "s", Labels: []Label{step},
		Kind: Histogram, Bounds: []float64{0.001, 0.005, 0.025, 0.1, 1},
		Help: "How long writes to the journal took.",
	},
	journalFailures: {
		Name: "connectpsp.journal.failures", Unit: "{write}", Labels: []Label{step},
		Help: "Writes to the journal that failed: the payment was not sent, or its outcome stays unknown.",
	},
	deliveries: {
		Name: "connectpsp.webhook.deliveries", Unit: "{request}", Labels: []Label{deliveryResult},
		Help: "Requests to the webhook handler.",
	},
	events: {
		Name: "connectpsp.webhook.events", Unit: "{event}", Labels: []Label{eventType},
		Help: "Events that the webhook handler stored.",
	},
	deliveryDuration: {
		Name: "connectpsp.webhook.delivery.duration", Unit: "s",
		Kind: Histogram, Bounds: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5},
		Help: "How long the webhook handler took.",
	},
	processed: {
		Name: "connectpsp.webhook.processed", Unit: "{item}", Labels: []Label{kind, processingResult},
		Help: "Items of the inbox that a worker worked on. A held one waits for a person.",
	},
	steps: {
		Name: "connectpsp.webhook.steps", Unit: "{step}", Labels: []Label{kind, status},
		Help: "Steps of transactions that were applied.",
	},
	marks: {
		Name: "connectpsp.webhook.marks", Unit: "{item}", Labels: []Label{mark},
		Help: "Items to look at: payments by others, unrequested returns, missed and late payments, contradictions, a leaked CryptoToken, panics.",
	},
	payerChecks: {
		Name: "connectpsp.webhook.payer.checks", Unit: "{payment}", Labels: []Label{payerAccount, payerDocument},
		Help: "Paid charges whose payer was compared. The same document with a different account may be an echo of the request.",
	},
	lag: {
		Name: "connectpsp.webhook.lag", Unit: "s",
		Kind: Histogram, Bounds: []float64{0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200},
		Help: "Time from the delivery of an event to the moment when a worker began to apply it.",
	},
	openPayments: {
		Name: "connectpsp.payments.open", Unit: "{payment}", Kind: Gauge, Labels: []Label{state},
		Help: "Open payments in the journal. The outcome of those sent is not known yet.",
	},
	oldestAge: {
		Name: "connectpsp.payments.oldest.age", Unit: "s", Kind: Gauge,
		Help: "Age of the oldest open payment that was sent, 0 if there is none.",
	},
	overdue: {
		Name: "connectpsp.payments.overdue", Unit: "{payment}", Kind: Gauge,
		Help: "Open payments that were sent and whose due time has passed. They may have been made.",
	},
	inboxDue: {
		Name: "connectpsp.inbox.due", Unit: "{item}", Kind: Gauge,
		Help: "Items of the inbox that are due.",
	},
	inboxHeld: {
		Name: "connectpsp.inbox.held", Unit: "{item}", Kind: Gauge,
		Help: "Items of the inbox that wait for a person.",
	},
	inboxLag: {
		Name: "connectpsp.inbox.lag", Unit: "s", Kind: Gauge,
		Help: "How long the oldest due item of the inbox has been due, 0 if there is none.",
	},
	gaugeErrors: {
		Name: "connectpsp.gauge.errors", Unit: "{read}", Labels: []Label{source},
		Help: "Reads of the gauges of a source that failed. The gauges are missing from that scrape.",
	},
}

// The labels.
var (
	operation = Label{"operation", []string{
		connectpsp.OperationCreateCashIn, connectpsp.OperationGetCashIn,
		connectpsp.OperationRefundCashIn, connectpsp.OperationCreateCashOut,
		connectpsp.OperationGetCashOut, connectpsp.OperationGetBalance,
		connectpsp.OperationRebalanceAccount, // authToken is an activity of its own
	}}
	outcome = Label{"outcome", []string{
		string(connectpsp.CallAccepted), string(connectpsp.CallInvalid),
		string(connectpsp.CallNotSent), string(connectpsp.CallRejected),
		string(connectpsp.CallUnknown), string(connectpsp.CallFailed),
		string(connectpsp.CallSettled),
	}}
	code = Label{"code", []string{
		string(connectpsp.CodeInvalidCredentials), string(connectpsp.CodeTokenExpired),
		string(connectpsp.CodeInvalidApplicationToken), string(connectpsp.CodeInvalidSignature),
		string(connectpsp.CodeCashInNotPaid), string(connectpsp.CodeCashInAlreadyRefunded),
		string(connectpsp.CodeCashInExpired), string(connectpsp.CodeCashInCancelled),
		string(connectpsp.CodeMissingEndToEndID), string(connectpsp.CodeInsufficientFunds),
		"OTHER",
	}}
	reason = Label{"reason", []string{
		string(connectpsp.RetryToken), string(connectpsp.RetryRateLimited),
		string(connectpsp.RetryNotSent), string(connectpsp.RetryNoResponse),
		string(connectpsp.RetryUnreadable), string(connectpsp.RetryGatewayFailed),
		string(connectpsp.RetryUnderWay),
	}}
	deviation      = Label{"deviation", []string{"status", "body", "code", "transaction"}}
	tokenResult    = Label{"result", []string{"ok", "refused", "failed"}}
	step           = Label{"step", []string{"begin", "sent", "finish"}}
	deliveryResult = Label{"result", []string{
		string(webhook.DeliveryStored), string(webhook.DeliveryDuplicate),
		string(webhook.DeliveryConflicting), string(webhook.DeliveryQuarantined),
		string(webhook.DeliveryInvalidSignature), string(webhook.DeliveryWrongMethod),
		string(webhook.DeliveryTooSlow), string(webhook.DeliveryTooLarge),
		string(webhook.DeliveryBroken), string(webhook.DeliveryUnavailable),
	}}
	eventType = Label{"type", []string{
		string(webhook.CashInPaid), string(webhook.CashInRefunded),
		string(webhook.CashOutCompleted), string(webhook.CashOutFailed),
		string(webhook.CashOutRefunded), "OTHER",
	}}
	kind             = Label{"kind", []string{string(webhook.KindCashIn), string(webhook.KindCashOut), noKind}}
	processingResult = Label{"result", []string{
		string(webhook.ProcessingApplied), string(webhook.ProcessingRefunded),
		string(webhook.ProcessingStale),
		string(webhook.ProcessingWatched), string(webhook.ProcessingRetried),
		string(webhook.ProcessingDeferred), string(webhook.ProcessingHeld),
		string(webhook.ProcessingLost),
	}}
	status = Label{"to", []string{
		string(webhook.StatusAwaitingPayment), string(webhook.StatusProcessing),
		string(webhook.StatusExpired), string(webhook.StatusCancelled),
		string(webhook.StatusFailed), string(webhook.StatusPaid),
		string(webhook.StatusPaidByOther), string(webhook.StatusPaidByUnknown),
		string(webhook.StatusCompleted), string(webhook.StatusRefunded),
	}}
	mark = Label{"mark", []string{
		"missed_payment", "late_payment", "contradiction", "alarm", "panic",
		"paid_by_other", "paid_by_unknown", "unrequested_return", "return_unclear", "late",
	}}
	payerDocument = Label{"document", []string{"same", "different", "unclear"}}
	payerAccount  = Label{"account", []string{"same", "different", "unclear", "unchecked"}}
	state         = Label{"state", []string{"begun", "sent"}}
	source        = Label{"source", []string{"payments", "inbox"}}
)

// canceled is the outcome of an attempt whose caller left, and the Error of its activity. It proves
// nothing about the gateway, and must not look like one that fails.
const canceled = "canceled"

// noKind is the kind of an item about no known transaction. An empty label would be none.
const noKind = "none"
