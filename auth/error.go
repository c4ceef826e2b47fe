package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Error is the reason why there is no access token. Only POST /auth/token was sent.
type Error struct {
	// StatusCode is the status of the gateway's response, 0 if there was none.
	StatusCode int

	// Type, Title, Code and Detail come from the problem in the response, and are empty if it has
	// none. They are the gateway's words and may contain personal data: neither Error nor fmt,
	// log/slog or encoding/json writes them.
	Type, Title, Code, Detail string

	// RetryAfter is the pause that the gateway asks for, 0 if it asks for none.
	RetryAfter time.Duration

	// Err is the cause besides the status: an error of the network, or of reading the response. It
	// may be nil. Its text is redacted of words that the peer chose; errors.Is still finds the
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

// Temporary reports whether a retry may succeed: there was no readable response, or the gateway
// could not serve the request at that moment. A refusal of the credentials is not temporary.
func (e *Error) Temporary() bool {
	switch e.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, 499: // 499: a proxy's client went away
		return true
	default:
		return e.StatusCode < 300 || e.StatusCode >= 500
	}
}
