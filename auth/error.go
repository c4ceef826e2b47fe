package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Error says why no access token could be had. Nothing but POST /auth/token was sent.
type Error struct {
	// StatusCode is the status of the gateway's answer, 0 if there was none.
	StatusCode int

	// Type, Title, Code and Detail come from the problem in the answer and are empty if it held
	// none. They are the gateway's words and may hold personal data: neither Error nor fmt,
	// log/slog or encoding/json writes them.
	Type, Title, Code, Detail string

	// RetryAfter is how long the gateway asked to wait, 0 if it did not.
	RetryAfter time.Duration

	// Err is what went wrong besides the status: the network's error, an answer that cannot be
	// read. It may be nil. Its text leaves out words that the peer chose; errors.Is still finds the
	// error itself.
	Err error
}

func (e *Error) Error() string {
	switch {
	case e.StatusCode == http.StatusUnauthorized:
		return "auth: no access token: the gateway refused the client id and secret (401)"
	case e.Err != nil:
		return fmt.Sprintf("auth: no access token: %v", e.Err)
	default:
		return fmt.Sprintf("auth: no access token: the gateway answered %d", e.StatusCode)
	}
}

// Format prints Error under every verb.
func (e Error) Format(f fmt.State, verb rune) { fmt.Fprintf(f, fmt.FormatString(f, verb), e.Error()) }

// MarshalJSON writes Error, the status and, in seconds, RetryAfter.
func (e Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Error             string  `json:"error"`
		StatusCode        int     `json:"statusCode,omitzero"`
		RetryAfterSeconds float64 `json:"retryAfterSeconds,omitzero"`
	}{e.Error(), e.StatusCode, e.RetryAfter.Seconds()})
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether asking again later may help: there was no readable answer, or one that
// says that the gateway cannot serve just now. A refusal of the credentials is not temporary.
func (e *Error) Temporary() bool {
	switch e.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, 499: // 499: a proxy's client went away
		return true
	default:
		return e.StatusCode < 300 || e.StatusCode >= 500
	}
}
