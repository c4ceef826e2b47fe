package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// The exit statuses.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitRejected = 3
	exitUnknown  = 4
	exitNotSent  = 5
)

// usageError says that the command line, a file or the environment is wrong. Nothing was done.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, values ...any) error { return &usageError{fmt.Sprintf(format, values...)} }

// rejectedError says that something is certainly not as wanted: a payment that has failed, or a
// webhook that is forged.
type rejectedError struct{ error }

func (e *rejectedError) Unwrap() error { return e.error }

// openError is an unknown outcome, with the command that settles it.
type openError struct {
	error
	command string
	support bool // only once the provider's support has said how the payment ended
}

func (e *openError) Unwrap() error { return e.error }

// errReported ends a command with exit status 1 after it has printed its result.
var errReported = errors.New("the result says what failed")

// classify returns the exit status of an error, and its name in JSON.
func classify(err error) (code int, outcome string) {
	switch {
	case err == nil:
		return exitDone, "accepted"
	case errors.As(err, new(*usageError)):
		return exitUsage, "usage"
	case errors.Is(err, connectpsp.ErrUnknownOutcome):
		return exitUnknown, "unknown"
	case errors.Is(err, connectpsp.ErrNotSent):
		return exitNotSent, "notSent"
	case errors.As(err, new(*rejectedError)), isRefusal(err):
		return exitRejected, "rejected"
	default:
		return exitFailed, "failed"
	}
}

// isRefusal reports whether the gateway refused a call, now or in an earlier process. A read that
// got no response or a 5xx was not refused.
func isRefusal(err error) bool {
	var refusal *connectpsp.APIError
	if !errors.As(err, &refusal) {
		return false
	}
	money := []string{connectpsp.OperationCreateCashIn, connectpsp.OperationCreateCashOut, connectpsp.OperationRefundCashIn,
		connectpsp.OperationRebalanceAccount}
	return refusal.StatusCode/100 == 4 || slices.Contains(money, refusal.Operation)
}

// failure is an error as JSON.
type failure struct {
	Outcome string                          `json:"outcome"`
	Error   string                          `json:"error"`
	Resolve string                          `json:"resolve,omitzero"` // the command that settles an unknown outcome
	Unknown *connectpsp.UnknownOutcomeError `json:"unknown,omitzero"`
	Refusal *connectpsp.APIError            `json:"refusal,omitzero"` // its JSON has no personal data
	Faults  []fault                         `json:"faults,omitzero"`
}

// fault is a faulty field of a request as JSON.
type fault struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

func newFailure(outcome string, err error) failure {
	f := failure{Outcome: outcome, Error: inShell(oneLine(err.Error()))}
	var open *openError
	if errors.As(err, &open) {
		f.Resolve = open.command
	}
	if !errors.As(err, &f.Unknown) {
		_ = errors.As(err, &f.Refusal)
	}
	var all connectpsp.ValidationErrors
	if one := (*connectpsp.ValidationError)(nil); !errors.As(err, &all) && errors.As(err, &one) {
		all = connectpsp.ValidationErrors{one}
	}
	for _, one := range all {
		f.Faults = append(f.Faults, fault{one.Field, string(one.Code), one.Reason})
	}
	return f
}

// end reports the error of a command, in one line on stderr, and returns the exit status. An
// unknown outcome has a second line: the command that settles it.
func (a *app) end(err error) int {
	if err != nil && !a.started && !errors.As(err, new(*usageError)) {
		err = usage("%s; see --help", oneLine(err.Error())) // it is cobra's
	}
	code, outcome := classify(err)
	if err == nil || errors.Is(err, errReported) {
		return code
	}
	report := newFailure(outcome, err)
	if !a.printed && (a.json || !a.started && slices.Contains(a.args, "--json")) {
		_ = a.printJSON(report) // stderr has it too
	}
	a.say("%s", report.Error)
	var open *openError
	switch {
	case !errors.As(err, &open):
	case open.support:
		fmt.Fprintln(a.stderr, "Once the provider's support has said that it was accepted, run: "+open.command)
	default:
		fmt.Fprintln(a.stderr, "To settle it, run: "+open.command)
	}
	return code
}

// inShell replaces the names of Go in an error of the SDK by those of the command line.
func inShell(text string) string {
	return strings.NewReplacer("WithAttempt", "--attempt", "ClientID", "CONNECTPSP_CLIENT_ID", "ClientSecret", "CONNECTPSP_CLIENT_SECRET",
		"ApplicationToken", "CONNECTPSP_APPLICATION_TOKEN", "CryptoToken", "CONNECTPSP_CRYPTO_TOKEN", "BaseURL", "CONNECTPSP_BASE_URL",
		" in Config: ", ": ").Replace(text)
}

// say writes one line to stderr.
func (a *app) say(format string, values ...any) {
	text := oneLine(fmt.Sprintf(format, values...))
	fmt.Fprintln(a.stderr, "connectpsp: "+strings.TrimPrefix(text, "connectpsp: "))
}

// oneLine replaces line breaks and the control characters of terminals. A peer may have written the
// text.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text)
}
