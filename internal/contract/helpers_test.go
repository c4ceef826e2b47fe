package contract

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	key       = "7d8f1c5e-2a31-4f0b-9c55-0f6f3f1f8a10"
	cashIn    = `{"transactionId":"t1","internalCode":"c","externalReference":"r","status":"PAID","amount":1.5,"payer":{"name":"n","document":"12345678909"}}`
	request   = `{"amount":1.5,"externalReference":"r","payer":{"name":"n","document":"12345678909"}}`
	refund    = `{"reason":"FRAUD"}`
	jsonType  = "application/json"
	signature = "7730a774c9741be02b7be8970d667bfac0bf75eb82f82330daeeead9afd176d9"
)

type findings struct {
	mutex sync.Mutex
	all   []error
}

func (f *findings) add(err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.all = append(f.all, err)
}

func (f *findings) text() string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return fmt.Sprint(errors.Join(f.all...))
}

// recording returns a checker of a description that stays as it is when the provider's changes: it
// is the checker that is tested here.
func recording(t *testing.T) (*Checker, *findings) {
	t.Helper()
	found := new(findings)
	checker, err := Open(filepath.Join("testdata", "description.yaml"), found.add)
	require.NoError(t, err)
	return checker, found
}

// exchange is a request and the answer to it, good unless a test spoils it.
type exchange struct {
	method, target, body string
	header               http.Header
	status               int
	contentType, answer  string
}

func (e exchange) request() *http.Request {
	r := httptest.NewRequest(e.method, e.target, strings.NewReader(e.body))
	r.Header = e.header
	return r
}

func (e exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", e.contentType)
	w.WriteHeader(e.status)
	_, _ = io.WriteString(w, e.answer)
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func identified(pairs ...string) http.Header {
	return header(append([]string{"Authorization", "Bearer a.b.c", "ApplicationToken", key}, pairs...)...)
}

func getting() exchange {
	return exchange{http.MethodGet, "/cash-in/t1", "", identified(), 200, jsonType, cashIn}
}

func creating() exchange {
	return exchange{http.MethodPost, "/cash-in", request, identified("Content-Type", jsonType, "X-Idempotency-Key", key), 201, jsonType, cashIn}
}

func refunding() exchange {
	h := identified("Content-Type", jsonType, "X-Idempotency-Key", key, "DigitalSignature", signature)
	return exchange{http.MethodPost, "/cash-in/t1/refund", refund, h, 202, jsonType, `{"transactionId":"t1"}`}
}

func authenticating() exchange {
	return exchange{http.MethodPost, "/auth/token", `{"clientId":"1","clientSecret":"s"}`, header("Content-Type", jsonType), 200, jsonType,
		`{"accessToken":"a.b.c","tokenType":"Bearer","expiresIn":3600}`}
}

// brief writes a body as its members and their types.
func brief(body Body) string {
	var members []string
	for _, path := range sortedKeys(body) {
		member := body[path]
		text := path + ":" + kindIn(member)
		if member.Nullable {
			text += "?"
		}
		if member.Required {
			text += "!"
		}
		if member.Enum != nil {
			text += fmt.Sprint(member.Enum)
		}
		for _, rule := range sortedKeys(member.Rules) {
			text += " " + rule + "=" + member.Rules[rule]
		}
		members = append(members, text)
	}
	return strings.Join(members, ", ")
}
