package sandbox

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/connectpsp/connectpsp-go/internal/api"
)

// operation is an operation of the API with its implementation.
type operation struct {
	api.Operation
	status  int // of success
	execute func(*Sandbox, request) (any, error)
}

// request is a request as an operation gets it: the id in the path, the query, and the body of a
// POST.
type request struct {
	id    string
	query url.Values
	body  *object
}

// operations is never modified.
var operations = []operation{
	{api.AuthToken, http.StatusOK, (*Sandbox).authToken},
	{api.CreateCashIn, http.StatusCreated, (*Sandbox).createCashIn},
	{api.GetCashIn, http.StatusOK, (*Sandbox).getCashIn},
	{api.RefundCashIn, http.StatusAccepted, (*Sandbox).refundCashIn},
	{api.CreateCashOut, http.StatusAccepted, (*Sandbox).createCashOut},
	{api.GetCashOut, http.StatusOK, (*Sandbox).getCashOut},
	{api.GetBalance, http.StatusOK, (*Sandbox).getBalance},
	{api.RebalanceAccount, http.StatusOK, (*Sandbox).rebalanceAccount},
}

// route returns the operation of a request and the id in its path, or a refusal if there is none.
func route(r *http.Request) (operation, string, error) {
	pathExists := false
	for _, op := range operations {
		id, matches := matchPath(op.Path, r.URL.Path)
		if matches && op.Method == r.Method {
			return op, id, nil
		}
		pathExists = pathExists || matches
	}
	if pathExists {
		return operation{}, "", refuse(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "%s is not allowed here.", r.Method)
	}
	return operation{}, "", refuse(http.StatusNotFound, "NOT_FOUND", "There is no such resource.")
}

// matchPath matches a path against a pattern that may have one {id}, and returns the id.
func matchPath(pattern, path string) (id string, matches bool) {
	before, after, hasID := strings.Cut(pattern, "{id}")
	if !hasID {
		return "", path == pattern
	}
	id, found := strings.CutPrefix(path, before)
	if !found {
		return "", false
	}
	id, found = strings.CutSuffix(id, after)
	return id, found && id != "" && !strings.Contains(id, "/")
}

// serveGateway is the handler inside of the caller's middleware.
func (s *Sandbox) serveGateway(w http.ResponseWriter, r *http.Request) {
	op, id, err := route(r)
	if err != nil {
		refusalOf(err).write(w)
		return
	}
	var body []byte
	var unreadable error
	if op.Method == http.MethodPost {
		body, unreadable = io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	}
	s.execute(op, id, r, body, unreadable).write(w)
}

// execute checks a request and executes it. It serializes requests, so that two with the same
// idempotency key or the same reference cannot race.
func (s *Sandbox) execute(op operation, id string, r *http.Request, body []byte, unreadable error) response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.authorizeLocked(op, r.Header); err != nil {
		return refusalOf(err)
	}
	key, err := idempotencyKey(op, r.Header)
	if err != nil {
		return refusalOf(err)
	}
	req := request{id: id, query: r.URL.Query()}
	if op.Method == http.MethodPost {
		if unreadable != nil {
			return refusalOf(invalidRequest("The body ended early."))
		}
		if req.body, err = parseBody(r.Header, body); err != nil {
			return refusalOf(err)
		}
	}
	execute := func() response {
		result, err := op.execute(s, req)
		if err != nil {
			return refusalOf(err)
		}
		return newResponse(op.status, "application/json", result)
	}
	if key == "" {
		return execute()
	}
	return s.onceLocked(key, r.URL.Path, body, execute)
}
