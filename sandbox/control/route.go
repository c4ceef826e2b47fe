package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/connectpsp/connectpsp-go/sandbox"
)

const (
	prefix    = "/_sandbox/v1"
	bodyLimit = 64 << 20 // of a snapshot
)

// route is an operation of the API.
type route struct {
	method, path string // the path after the prefix
	id, summary  string
	query        string       // the name of a parameter, empty for none
	body, result reflect.Type // nil for none
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
	route := get(path, id, summary, func(s *sandbox.Sandbox, r *http.Request) (R, error) { return do(s, r.FormValue(query)) })
	route.query = query
	return route
}

// post is an operation on the transaction with the id in the path, if it has one.
func post[B, R any](path, id, summary string, do func(s *sandbox.Sandbox, transactionID string, body B) (R, error)) route {
	return route{method: http.MethodPost, path: path, id: id, summary: summary, body: typeOf[B](), result: typeOf[R](),
		serve: func(s *sandbox.Sandbox, r *http.Request, data []byte) (any, error) {
			body := new(B)
			if err := decode(data, body); err != nil {
				return nil, err
			}
			return do(s, r.PathValue("id"), *body)
		}}
}

func typeOf[T any]() reflect.Type {
	if t := reflect.TypeFor[T](); t != reflect.TypeFor[none]() {
		return t
	}
	return nil
}

// decode decodes a body. An empty one is the zero value.
func decode(data []byte, body any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(body)
	if err == nil && decoder.More() {
		err = errors.New("there is more than one value")
	}
	if err != nil {
		return fmt.Errorf("%w: the body must be a JSON object with the members that /_sandbox/openapi.json lists: %s",
			sandbox.ErrInvalid, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// handler serves the operation for a sandbox.
func (o route) handler(s *sandbox.Sandbox) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
		if err != nil {
			respond(w, http.StatusBadRequest, problem{"the body broke off, or is longer than 64 MiB"})
			return
		}
		result, err := o.serve(s, r, data)
		switch {
		case err != nil:
			respond(w, statusOf(err), problem{strings.TrimPrefix(err.Error(), "sandbox: ")})
		case o.result == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			respond(w, http.StatusOK, result)
		}
	})
}

// problem is the body of every refusal.
type problem struct {
	Error string `json:"error"`
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, sandbox.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, sandbox.ErrTransition):
		return http.StatusConflict
	case errors.Is(err, sandbox.ErrInvalid):
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

func notFound(w http.ResponseWriter, r *http.Request) {
	status, reason := http.StatusNotFound, "there is no such resource: see /_sandbox/openapi.json"
	for _, route := range routes {
		if matches(prefix+route.path, r.URL.Path) && route.method != r.Method {
			w.Header().Set("Allow", route.method)
			status, reason = http.StatusMethodNotAllowed, "use "+route.method+" for this resource"
		}
	}
	respond(w, status, problem{reason})
}

// matches reports whether a path fits a pattern with or without an id.
func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	for n := range want {
		if len(got) != len(want) || want[n] != got[n] && want[n] != "{id}" {
			return false
		}
	}
	return true
}

func respond(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"the response cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
