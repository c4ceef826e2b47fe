package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
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

// readError says that a transaction or a balance could not be read. Whatever the cause is, it says
// nothing about the money.
type readError struct {
	noun string
	error
}

func (e *readError) Error() string {
	return "the " + e.noun + " could not be read, which says nothing about its state: " + strings.TrimPrefix(e.error.Error(), "connectpsp: ")
}

func (e *readError) Unwrap() error { return e.error }

func unread(noun string, err error) error { return &readError{noun, err} }

// undoneError says how a transaction that was accepted was undone or returned later.
type undoneError struct{ outcome, text string }

func (e *undoneError) Error() string { return e.text }

// openError is an unknown outcome, with the command that settles it.
type openError struct {
	error
	command string
	support bool // only once the provider's support has said how the payment ended
}

func (e *openError) Unwrap() error { return e.error }

// errReported ends a command with exit status 1 after it has printed its result.
var errReported = errors.New("the result says what failed")

// The outcomes that an object is printed with.
const (
	outcomeAccepted = "accepted"
	outcomeUndone   = "undone"   // accepted, and FAILED, CANCELLED or EXPIRED later
	outcomeReturned = "returned" // accepted, and REFUNDED later: all of the money or a part
)

// classify returns the exit status of an error, and its name in JSON.
func classify(err error) (code int, outcome string) {
	var undone *undoneError
	switch {
	case err == nil:
		return exitDone, outcomeAccepted
	case errors.As(err, new(*usageError)):
		return exitUsage, "usage"
	case errors.As(err, &undone):
		return exitRejected, undone.outcome
	case errors.As(err, new(*openError)), errors.Is(err, connectpsp.ErrUnknownOutcome):
		return exitUnknown, "unknown"
	case len(faultsOf(err)) > 0:
		return exitUsage, "usage"
	case errors.As(err, new(*readError)) && isNotFound(err):
		return exitUsage, "usage"
	case errors.As(err, new(*readError)):
		return exitFailed, "failed"
	case errors.Is(err, connectpsp.ErrNotSent):
		return exitNotSent, "notSent"
	case errors.As(err, new(*rejectedError)), isRefusal(err):
		return exitRejected, "rejected"
	default:
		return exitFailed, "failed"
	}
}

// isClosedPipe reports whether nothing failed but the output, because its reader has gone.
func isClosedPipe(err error) bool {
	if joined, several := err.(interface{ Unwrap() []error }); several {
		return !slices.ContainsFunc(joined.Unwrap(), func(one error) bool { return !isClosedPipe(one) })
	}
	output, is := err.(*outputError)
	return is && errors.Is(output, syscall.EPIPE)
}

// isRefusal reports whether the gateway refused to move money, now or in an earlier process.
func isRefusal(err error) bool {
	var refusal *connectpsp.APIError
	return errors.As(err, &refusal) && slices.Contains([]string{connectpsp.OperationCreateCashIn, connectpsp.OperationCreateCashOut,
		connectpsp.OperationRefundCashIn, connectpsp.OperationRebalanceAccount}, refusal.Operation)
}

// isNotFound reports whether the gateway knows no transaction with an id. A page without a code is
// not the gateway's.
func isNotFound(err error) bool {
	var refusal *connectpsp.APIError
	return errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound && refusal.Code != ""
}

// faultsOf returns the faulty fields of a request.
func faultsOf(err error) connectpsp.ValidationErrors {
	var all connectpsp.ValidationErrors
	if one := (*connectpsp.ValidationError)(nil); !errors.As(err, &all) && errors.As(err, &one) {
		all = connectpsp.ValidationErrors{one}
	}
	return all
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
	f := failure{Outcome: outcome, Error: textOf(err)}
	var open *openError
	if errors.As(err, &open) {
		f.Resolve = open.command
	}
	if !errors.As(err, &f.Unknown) {
		_ = errors.As(err, &f.Refusal)
	}
	for _, one := range faultsOf(err) {
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
	if a.settle != "" && isClosedPipe(err) { // a payment was accepted, and so it ends
		code, outcome = exitDone, outcomeAccepted
	}
	if err == nil || errors.Is(err, errReported) {
		return code
	}
	report := newFailure(outcome, err)
	a.say("%s", report.Error)
	var open *openError
	if errors.As(err, &open) {
		a.sayCommand(open)
	}
	if !a.printed && (a.json || !a.started && slices.Contains(a.args, "--json")) {
		_ = a.printJSON(report) // stderr has it, and comes first because stdout may be closed
	}
	return code
}

// crashed reports a panic, and returns the exit status: unknown if a payment may have been sent.
// The value of the panic is left out, because it may be personal data.
func (a *app) crashed(stack []byte) int {
	err := errors.New("a fault of this program ended it before it moved money; report it to the SDK's authors with the lines below")
	if a.settle != "" {
		err = &openError{errors.New("a fault of this program ended it, and the money may have moved; report it to the SDK's authors " +
			"with the lines below"), a.settle, false}
	}
	a.started = true // the command line is not to blame
	code := a.end(err)
	fmt.Fprintf(a.stderr, "%s", stack)
	return code
}

// sayCommand writes the line that settles an unknown outcome to stderr.
func (a *app) sayCommand(open *openError) {
	when := "To settle it, run: "
	if open.support {
		when = "Once the provider's support has said that it was accepted, run: "
	}
	fmt.Fprintln(a.stderr, when+open.command)
}

// flagOf names the flag, the argument or the variable that a field of a request comes from.
var flagOf = map[string]string{
	"id":                                    "ID",
	"amount":                                "--amount",
	"targetAmount":                          "--target",
	"externalReference":                     "--reference",
	"description":                           "--description",
	"reason":                                "--reason",
	"webhookUrl":                            "--webhook-url",
	"expirationInMinutes":                   "--expires-in",
	"openFinance.redirectUrl":               "--redirect-url",
	"payer.name":                            "--name",
	"payer.document":                        "--document",
	"payee.name":                            "--name",
	"payee.document":                        "--document",
	"payee.destination.pixKey":              "--key",
	"payee.destination.pixKeyType":          "--key-type",
	"payee.destination.bankAccount.ispb":    "--ispb",
	"payee.destination.bankAccount.branch":  "--branch",
	"payee.destination.bankAccount.account": "--account",
	"payee.destination.bankAccount.accountType": "--account-type",
}

// textOf returns an error in one line, in the words of the command line.
func textOf(err error) string {
	faults := faultsOf(err)
	if len(faults) == 0 || errors.Is(err, connectpsp.ErrUnknownOutcome) {
		return inShell(oneLine(err.Error()))
	}
	text := "nothing was sent: "
	for i, one := range faults {
		if i > 0 {
			text += "; "
		}
		text += cmp.Or(flagOf[one.Field], one.Field) + " " + one.Reason
	}
	return inShell(oneLine(text))
}

// inShell replaces the names of Go in an error of the SDK by those of the command line.
func inShell(text string) string {
	return strings.NewReplacer("WithAttempt", "--attempt", "WithPrivateNetwork", "--private-network", "ClientID", "CONNECTPSP_CLIENT_ID", "ClientSecret", "CONNECTPSP_CLIENT_SECRET",
		"ApplicationToken", "CONNECTPSP_APPLICATION_TOKEN", "CryptoToken", "CONNECTPSP_CRYPTO_TOKEN", "BaseURL", "CONNECTPSP_BASE_URL",
		" in Config: ", ": ", "externalReference", "reference").Replace(text)
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
