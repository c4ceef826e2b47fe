package connectpsp

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/internal/observe"
)

// Option configures a client. Nil is not an Option.
type Option func(*settings)

type settings struct {
	httpClient  *http.Client
	logger      *slog.Logger
	retry       RetryPolicy
	userAgent   string
	tokenSource auth.TokenSource
	journal     Journal
	window      time.Duration
	payeeChecks []func(context.Context, CashOutRequest) (Holder, error) // one at most, if they are valid
	observers   []observe.Observer
	guard       *observe.Guard // of observers
	private     bool           // plain http on a private network is allowed
}

// validate adds the faults of the options, base being the gateway's URL, and fills
// in defaults.
func (s *settings) validate(faults *faults, base *url.URL) {
	s.retry = s.retry.validate(faults)
	s.logger = cmp.Or(s.logger, slog.Default())
	s.guard = observe.New(s.logger, s.observers...)
	if s.journal == nil {
		s.journal = new(memoryJournal)
	} else {
		s.journal = detachedJournal{s.journal}
	}
	switch {
	case s.window < 0:
		faults.add("WithReplayWindow", InvalidNegative, "must not be negative")
	case s.window == 0:
		s.window = 20 * time.Minute
	}
	if !printable(s.userAgent) {
		faults.add("WithUserAgent", InvalidText, "must be printable")
	}
	switch {
	case len(s.payeeChecks) > 1:
		faults.add("WithPayeeCheck", InvalidOption, "must be given once: one function has to check all payees")
	case len(s.payeeChecks) == 1 && s.payeeChecks[0] == nil:
		faults.add("WithPayeeCheck", InvalidEmpty, "needs a function: leave the option out to check no payees")
	}
	if s.httpClient == nil || base == nil {
		return
	}
	transport, ok := s.httpClient.Transport.(*http.Transport)
	switch {
	case !ok:
	case transport == nil:
		faults.add("WithHTTPClient", InvalidTransport, "has a Transport that is a nil *http.Transport")
	case transport.TLSClientConfig != nil && transport.TLSClientConfig.InsecureSkipVerify && !isLoopback(base.Hostname()):
		faults.add("WithHTTPClient", InvalidTransport, "must not skip the verification of certificates")
	}
}

// WithHTTPClient makes the client send through a copy of h, with h's Transport and Timeout. A
// Timeout bounds every attempt, and a short one makes outcomes unknown. The copy never follows
// redirects. If h has no Transport, it uses [NewTransport], and not [http.DefaultTransport]. A
// transport that retries on its own is unsafe for payments: the SDK notices most, and calls such an
// outcome unknown.
func WithHTTPClient(h *http.Client) Option {
	return func(s *settings) { s.httpClient = h }
}

// WithLogger makes the client log to l. Without this option, or with nil, it logs to the
// [slog.Default] of the moment when New is called; for silence give it
// slog.New(slog.DiscardHandler). It writes
//
//   - at level error, once, each call whose outcome is unknown (see [ErrUnknownOutcome]), and each
//     payment that [Client.Recover] leaves open after it was due (see [WithDueBy]),
//   - at level warning each payment that [Client.Recover] found open,
//   - at level debug each that it reports because it ended before, each attempt and each request
//     for a token,
//
// with those of these attributes that apply:
//
//	event               call.unknown, payment.overdue, payment.recovered, attempt or token.request
//	operation           the operation's id in the description, such as createCashOut
//	external_reference  the request's
//	idempotency_key     the key that it carries
//	transaction_id      the gateway's id, or that of the charge to refund
//	outcome             of this attempt or recovered payment, a [CallOutcome]
//	first_sent_at       when the payment was first sent
//	due_by              when it was due
//	status              the HTTP status of the response, 0 if none came
//	code                the gateway's code, such as INSUFFICIENT_FUNDS
//	error               the kind of the failure, such as "context deadline exceeded"
//	retry               why another attempt follows, if time and budget allow: a [RetryReason]
//	attempt             the number of the attempt within the call, from 1
//	duration            of the attempt, or of the request for a token
//	method, path        of the request
//
// No header, no body and no error's own text is written, so no secret, and no personal data unless
// an external reference is one. docs/logs.md lists the events of all packages.
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) { s.logger = l }
}

// WithPrivateNetwork allows plain http on a private network, for tests against a sandbox in another
// container. BaseURL must be set then, and its host, like that of a webhook URL, may also be an
// address of a private network, a name without a dot such as "sandbox", or one that ends in
// ".internal". With the Environment Production, or with a BaseURL of https, [New] fails.
func WithPrivateNetwork() Option {
	return func(s *settings) { s.private = true }
}

// WithRetryPolicy changes how often and how fast calls are repeated. What is repeated at all does
// not change: see the package documentation.
func WithRetryPolicy(p RetryPolicy) Option {
	return func(s *settings) { s.retry = p }
}

// WithUserAgent sets the User-Agent header, in place of the SDK's name and version.
func WithUserAgent(userAgent string) Option {
	return func(s *settings) { s.userAgent = userAgent }
}

// WithTokenSource makes the client use access tokens of source, in place of fetching its own. A
// fleet shares one token so: see [NewTokenSource]. An error of source ends the call, unless it is
// the network's or an *auth.Error that is Temporary. It is returned in source's own words, but for
// one that holds a *url.Error: that may quote a token, and is redacted.
func WithTokenSource(source auth.TokenSource) Option {
	return func(s *settings) { s.tokenSource = source }
}

// WithJournal makes the client record every payment in journal before it is sent, so that
// [Client.Recover] can settle it if the process dies; package journal has one in a file. If the
// payment cannot be recorded it is not sent. Without this option, or with nil, the client remembers
// in memory up to 65,536 open payments, calls under way included, beyond which it sends none, and
// at least the latest 32,768 that were accepted.
func WithJournal(journal Journal) Option {
	return func(s *settings) { s.journal = journal }
}

// WithReplayWindow sets for how long after a payment was first sent [Client.Recover] and
// [Client.ResolveCashOut] may send it again; zero is the default of 20 minutes. For how long the
// gateway remembers a key is not published; the shortest that comparable gateways are known to
// remember is 30 minutes. Raise it only if the provider promises more.
func WithReplayWindow(window time.Duration) Option {
	return func(s *settings) { s.window = window }
}

// WithPayeeCheck makes [Client.CreateCashOut] compare the payee of each request with the [Holder]
// that check returns, such as the player who withdraws. The payee's document must be the holder's,
// and so must the destination: a CPF or CNPJ key is compared with the Document, a bank account with
// the Accounts.
//
// A field of another person fails with a [*ValidationError] of the code [InvalidPayee]. A field
// whose owner cannot be told fails with [InvalidPayeeUnclear], unless AllowUnclear is set: any
// other kind of key, an account if none is registered, or an account that is written in another
// way. AllowUnclear does not help if the holder's Document is missing or wrong: payee.document
// fails with InvalidPayeeUnclear then. With Anyone every payment passes, and with the zero Holder
// none does. The check compares texts, and asks no directory of keys or accounts.
//
// Check is called once for each call with a valid request, also for one that is repeated, before
// the journal and the gateway. Goroutines call it concurrently, and only the context limits its
// time. If it returns an error or panics, nothing is sent: errors.Is finds [ErrNotSent] and the
// error itself, whose text is redacted. Of an error of another call of this package only the text
// stays, because that call's outcome is not the payout's.
//
// A payment that is open or was accepted is never reported as rejected because check refuses it
// now: its outcome stays unknown, as long as the client or its journal knows of it. In a new
// process without a journal that is for the caller to know. [Client.Recover] and
// [Client.ResolveCashOut] do not call check: the payment was checked before it was first sent, and
// may have been made.
//
// Without this option nothing is compared. [New] fails if check is nil, or if the option is given
// twice.
func WithPayeeCheck(check func(ctx context.Context, request CashOutRequest) (Holder, error)) Option {
	return func(s *settings) { s.payeeChecks = append(s.payeeChecks, check) }
}

// RetryPolicy says how often and how fast a call is repeated. A zero field stands for its default.
// Waits are drawn at random between zero and a bound that doubles with every attempt, or as long as
// the gateway asks with Retry-After if that is more. A call is given up early if the gateway asks
// for more than 30 seconds, if the wait would outlast the context, or after 90 seconds, and when
// too many calls of the client fail: a hundred retries in a row that do not help are followed by
// none until calls succeed again.
type RetryPolicy struct {
	MaxAttempts int           // including the first; default 4; 1 means no retries
	BaseDelay   time.Duration // bound of the first wait; default 500 ms
	MaxDelay    time.Duration // bound of every wait; default 8 s
}

func (p RetryPolicy) validate(faults *faults) RetryPolicy {
	if p.MaxAttempts < 0 || p.BaseDelay < 0 || p.MaxDelay < 0 {
		faults.add("RetryPolicy", InvalidNegative, "must hold no negative value")
	}
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 4
	}
	if p.BaseDelay == 0 {
		p.BaseDelay = 500 * time.Millisecond
	}
	if p.MaxDelay == 0 {
		p.MaxDelay = 8 * time.Second
	}
	p.MaxDelay = min(p.MaxDelay, longestCall) // no wait is longer than a call
	p.BaseDelay = min(p.BaseDelay, p.MaxDelay)
	return p
}

// CallOption changes a single call. Nil is not a CallOption.
type CallOption func(*callSettings)

type callSettings struct {
	key        string
	keySet     bool
	attempt    int
	attemptSet bool
	dueBy      time.Time
	raw        *RawResponse
}

// WithIdempotencyKey makes [Client.CreateCashIn], [Client.CreateCashOut] or [Client.RefundCashIn]
// carry key, a UUID, in place of the default one. It is sent in lower case. Keep it with the
// payment: only the same key makes a repeated call safe. With any other operation it is a
// [*ValidationError].
func WithIdempotencyKey(key string) CallOption {
	return func(s *callSettings) { s.key, s.keySet = key, true }
}

// WithAttempt gives [Client.CreateCashIn], [Client.CreateCashOut] or [Client.RefundCashIn] a new
// default key for the same payment, to be used after the gateway refused it for certain. Number n
// is how many refusals the payment has had: 1 after the first. Zero is the default. With any other
// operation, or together with [WithIdempotencyKey], it is a [*ValidationError].
//
// Store n before the call, and give it again whenever the call is repeated. As long as the client
// or its journal knows of an attempt that is open or was accepted, a call with another n sends
// nothing and is unknown. A new process without a journal does not know: there the gateway repeats
// its refusal of the earlier attempt, and a payment that was made reads as refused.
func WithAttempt(n int) CallOption {
	return func(s *callSettings) { s.attempt, s.attemptSet = n, true }
}

// WithDueBy sets the time by which [Client.CreateCashOut] has to pay, such as two hours after a
// withdrawal was requested. The journal keeps it, to the millisecond, and so shows payments that
// are late: in the log of [Client.Recover], in [Recovered], in [OpenPayments] and, if WatchDueBy of
// a webhook.Worker watches the time, in a step of their own. The time changes neither the request
// nor the outcome: a late payment may have been made, or be made yet. Never pay it again, and never
// give the money back, because it is late. A time that has passed is no fault: the payment is made
// all the same, and is late.
//
// The first call for a payment sets its time. A later call neither changes that nor adds a missing
// one, unless the payment was rejected before. The zero time is like no time. A time that is not
// after 1970-01-01T00:00:00Z, or is after the year 9999, is a [*ValidationError], and so is any
// time with another operation.
func WithDueBy(due time.Time) CallOption {
	return func(s *callSettings) { s.dueBy = due.UTC().Truncate(time.Millisecond) }
}

// WithRawResponse stores the last response of the call in dst, also when the call fails. It is left
// as it was if no response came. Do not share dst between calls that run at the same time.
func WithRawResponse(dst *RawResponse) CallOption {
	return func(s *callSettings) { s.raw = dst }
}

// RawResponse is a response as it came, but for a byte order mark. The body may hold personal data;
// it is cut at 2 MiB. Printed or logged, it shows the status and the length of the body only.
type RawResponse struct {
	StatusCode int
	Header     http.Header
	Body       []byte
}

// String returns the status and the length of the body.
func (r RawResponse) String() string {
	return fmt.Sprintf("%d with %d bytes", r.StatusCode, len(r.Body))
}

// Format prints String under every verb.
func (r RawResponse) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue logs String.
func (r RawResponse) LogValue() slog.Value { return slog.StringValue(r.String()) }
