package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// answer is what the gateway answers. It is not changed once made.
type answer struct {
	status      int
	contentType string
	body        []byte
}

func newAnswer(status int, contentType string, value any) answer {
	body, err := json.Marshal(value)
	if err != nil {
		// The values are the sandbox's own. Only a year beyond 9999 cannot be written.
		panic(fmt.Sprintf("sandbox: %v", err))
	}
	return answer{status: status, contentType: contentType, body: body}
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	// Nobody is left to tell that the other side has gone.
	_, _ = w.Write(a.body)
}

// refusal is an error that is answered as a problem.
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

// problem is the body of an answer that refuses, as in RFC 7807.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// refusalOf returns the answer to a request that failed with err. An error that is no refusal is
// the sandbox's own.
func refusalOf(err error) answer {
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
	return newAnswer(refused.status, "application/problem+json", body)
}
