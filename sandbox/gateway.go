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
	execute func(*Sandbox, call) (any, error)
}

// call is what an operation is executed with: the id in the path, the query, and the body of a
// POST.
type call struct {
	id    string
	query url.Values
	body  *object
}

// operations is never written to.
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

// route returns the operation of a request and the id in its path, or the refusal of a request that
// belongs to none.
func route(r *http.Request) (operation, string, error) {
	pathExists := false
	for _, operation := range operations {
		id, matches := matchPath(operation.Path, r.URL.Path)
		if matches && operation.Method == r.Method {
			return operation, id, nil
		}
		pathExists = pathExists || matches
	}
	if pathExists {
		return operation{}, "", refuse(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "%s is not allowed here.", r.Method)
	}
	return operation{}, "", refuse(http.StatusNotFound, "NOT_FOUND", "There is no such resource.")
}

// matchPath compares path with a pattern that may have one {id}, and returns what stands in its
// place.
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

// serveGateway is what the caller's middleware is put around.
func (s *Sandbox) serveGateway(w http.ResponseWriter, r *http.Request) {
	operation, id, err := route(r)
	if err != nil {
		refusalOf(err).write(w)
		return
	}
	var body []byte
	var unreadable error
	if operation.Method == http.MethodPost {
		body, unreadable = io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	}
	s.answer(operation, id, r, body, unreadable).write(w)
}

// answer checks a request and executes it. One request is served at a time, so that two with the
// same idempotency key or the same reference cannot pass each other.
func (s *Sandbox) answer(operation operation, id string, r *http.Request, body []byte, unreadable error) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.authorize(operation, r.Header); err != nil {
		return refusalOf(err)
	}
	key, err := idempotencyKey(operation, r.Header)
	if err != nil {
		return refusalOf(err)
	}
	call := call{id: id, query: r.URL.Query()}
	if operation.Method == http.MethodPost {
		if unreadable != nil {
			return refusalOf(invalidRequest("The body ended early."))
		}
		if call.body, err = parseBody(r.Header, body); err != nil {
			return refusalOf(err)
		}
	}
	execute := func() answer {
		result, err := operation.execute(s, call)
		if err != nil {
			return refusalOf(err)
		}
		return newAnswer(operation.status, "application/json", result)
	}
	if key == "" {
		return execute()
	}
	return s.once(key, r.URL.Path, body, execute)
}
