package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/connectpsp/connectpsp-go/sandbox"
)

const (
	prefix        = "/_sandbox/v1"
	bodyLimit     = 16 << 20
	snapshotLimit = 1 << 30
)

// route is an operation of the API.
type route struct {
	method, path string // the path after the prefix
	id, summary  string
	query        string       // the name of a parameter, empty for none
	body, result reflect.Type // nil for none
	limit        int64        // bytes of a body
	serve        func(*sandbox.Sandbox, *http.Request, []byte) (any, error)
}

// none is the type of a body or a result that there is none of.
type none struct{}

// get is an operation that changes nothing.
func get[R any](path, id, summary string, do func(s *sandbox.Sandbox, r *http.Request) (R, error)) route {
	return route{method: http.MethodGet, path: path, id: id, summary: summary, result: typeOf[R](),
		serve: func(s *sandbox.Sandbox, r *http.Request, _ []byte) (any, error) { return do(s, r) }}
}

// filtered is get with a parameter of the query.
func filtered[R any](path, query, id, summary string, do func(s *sandbox.Sandbox, value string) (R, error)) route {
	route := get(path, id, summary, func(s *sandbox.Sandbox, r *http.Request) (R, error) { return do(s, r.URL.Query().Get(query)) })
	route.query = query
	return route
}

// post is an operation on the transaction with the id in the path, if it has one.
func post[B, R any](path, id, summary string, do func(s *sandbox.Sandbox, transactionID string, body B) (R, error)) route {
	return route{method: http.MethodPost, path: path, id: id, summary: summary, body: typeOf[B](), result: typeOf[R](), limit: bodyLimit,
		serve: func(s *sandbox.Sandbox, r *http.Request, data []byte) (any, error) {
			body := new(B)
			if err := decode(data, body); err != nil {
				return nil, err
			}
			return do(s, r.PathValue("id"), *body)
		}}
}

// withLimit returns the operation with another limit of its body.
func (o route) withLimit(limit int64) route {
	o.limit = limit
	return o
}

func typeOf[T any]() reflect.Type {
	if t := reflect.TypeFor[T](); t != reflect.TypeFor[none]() {
		return t
	}
	return nil
}

// handler serves the operation for a sandbox.
func (o route) handler(s *sandbox.Sandbox) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := o.checkQuery(r); err != nil {
			refuse(w, err)
			return
		}
		var data []byte
		if o.method == http.MethodPost {
			var err error
			if data, err = io.ReadAll(http.MaxBytesReader(w, r.Body, o.limit)); err != nil {
				refuseBody(w, err)
				return
			}
		}
		result, err := o.serve(s, r, data)
		switch {
		case err != nil:
			refuse(w, err)
		case o.result == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			respond(w, http.StatusOK, result)
		}
	}
}

// checkQuery refuses a parameter that the operation does not have: a filter with a wrong name would
// return everything.
func (o route) checkQuery(r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return invalid("the query cannot be decoded: escape its values")
	}
	for name, values := range query {
		switch {
		case name != o.query && o.query == "":
			return invalid("there is no parameter %q: this resource takes none", name)
		case name != o.query:
			return invalid("there is no parameter %q: there is %s", name, o.query)
		case len(values) > 1:
			return invalid("%s occurs twice in the query", name)
		}
	}
	return nil
}

// problem is the body of every refusal.
type problem struct {
	Error string `json:"error"`
}

// refuse responds with an error of a call.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, sandbox.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, sandbox.ErrTransition):
		status = http.StatusConflict
	case errors.Is(err, sandbox.ErrInvalid):
		status = http.StatusBadRequest
	}
	text := strings.TrimPrefix(err.Error(), "sandbox: ")
	if err == sandbox.ErrNotFound {
		text = "there is no transaction with this id: " + prefix + "/cash-ins and " + prefix + "/cash-outs list them"
	}
	respond(w, status, problemOf(text))
}

func refuseBody(w http.ResponseWriter, err error) {
	if tooLarge, isTooLarge := errors.AsType[*http.MaxBytesError](err); isTooLarge {
		respond(w, http.StatusRequestEntityTooLarge, problem{fmt.Sprintf("the body must not be longer than %d MiB", tooLarge.Limit>>20)})
		return
	}
	respond(w, http.StatusBadRequest, problem{"the body broke off: send it again"})
}

// problemOf returns a problem that does not repeat a long text of the caller's.
func problemOf(text string) problem {
	const limit = 400
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit]) + "…"
	}
	return problem{text}
}

func respond(w http.ResponseWriter, status int, body any) {
	respondAs(w, "application/json", status, body)
}

// respondAs is respond with another type of JSON.
func respondAs(w http.ResponseWriter, contentType string, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"the response cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
