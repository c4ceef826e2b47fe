package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// response is a response of the gateway. It is immutable.
type response struct {
	Status      int    `json:"status"`
	ContentType string `json:"contentType"`
	Body        []byte `json:"body"`
	RetryAfter  string `json:"retryAfter,omitzero"` // seconds, empty for no such header
}

func newResponse(status int, contentType string, value any) response {
	body, err := json.Marshal(value)
	if err != nil {
		// The values are the sandbox's own. Only a year beyond 9999 cannot be written.
		panic(fmt.Sprintf("sandbox: %v", err))
	}
	return response{Status: status, ContentType: contentType, Body: body}
}

func (r response) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", r.ContentType)
	if r.RetryAfter != "" {
		w.Header().Set("Retry-After", r.RetryAfter)
	}
	w.WriteHeader(r.Status)
	// The error means that the client has gone.
	_, _ = w.Write(r.Body)
}

// refusal is an error that becomes a response with a problem.
type refusal struct {
	status int
	code   string
	detail string
}

func (r *refusal) Error() string { return r.code + ": " + r.detail }

func refuse(status int, code, format string, arguments ...any) error {
	return &refusal{status: status, code: code, detail: fmt.Sprintf(format, arguments...)}
}

func invalidRequest(format string, arguments ...any) error {
	return refuse(http.StatusBadRequest, "INVALID_REQUEST", format, arguments...)
}

// problem is the body of a refusing response, as in RFC 7807.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// refusalOf returns the response to a request that failed with err. An error that is not a refusal
// is a fault of the sandbox itself.
func refusalOf(err error) response {
	var refused *refusal
	if !errors.As(err, &refused) {
		refused = &refusal{http.StatusInternalServerError, "INTERNAL_ERROR", err.Error()}
	}
	words := strings.Split(strings.ToLower(refused.code), "_")
	body := problem{
		Type:   "https://connect-psp.redocly.app/errors/" + strings.Join(words, "-"),
		Status: refused.status,
		Code:   refused.code,
		Detail: refused.detail,
	}
	for i, word := range words {
		words[i] = strings.ToUpper(word[:1]) + word[1:]
	}
	body.Title = strings.Join(words, " ")
	return newResponse(refused.status, "application/problem+json", body)
}
