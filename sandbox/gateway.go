package sandbox

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// operation is one of the API's operations, in the words of its description.
type operation struct {
	id      string
	method  string
	path    string
	public  bool // needs neither access token nor ApplicationToken
	signed  bool // needs a DigitalSignature
	keyed   bool // takes an X-Idempotency-Key
	status  int  // of success
	execute func(*Sandbox, call) (any, error)
}

// call is what an operation is executed with: the id in the path, the query, and the body of a POST.
type call struct {
	id    string
	query url.Values
	body  *object
}

// operations is never written to.
var operations = []operation{
	{id: "authToken", method: http.MethodPost, path: "/auth/token", public: true,
		status: http.StatusOK, execute: (*Sandbox).authToken},
	{id: "createCashIn", method: http.MethodPost, path: "/cash-in", keyed: true,
		status: http.StatusCreated, execute: (*Sandbox).createCashIn},
	{id: "getCashIn", method: http.MethodGet, path: "/cash-in/{id}",
		status: http.StatusOK, execute: (*Sandbox).getCashIn},
	{id: "refundCashIn", method: http.MethodPost, path: "/cash-in/{id}/refund", signed: true, keyed: true,
		status: http.StatusAccepted, execute: (*Sandbox).refundCashIn},
	{id: "createCashOut", method: http.MethodPost, path: "/cash-out", signed: true, keyed: true,
		status: http.StatusAccepted, execute: (*Sandbox).createCashOut},
	{id: "getCashOut", method: http.MethodGet, path: "/cash-out/{id}",
		status: http.StatusOK, execute: (*Sandbox).getCashOut},
	{id: "getBalance", method: http.MethodGet, path: "/account/balance",
		status: http.StatusOK, execute: (*Sandbox).getBalance},
	{id: "rebalanceAccount", method: http.MethodPost, path: "/account/rebalance", signed: true,
		status: http.StatusOK, execute: (*Sandbox).rebalanceAccount},
}

// route returns the operation of a request and the id in its path, or the refusal of a request that belongs to none.
func route(r *http.Request) (operation, string, error) {
	pathExists := false
	for _, operation := range operations {
		id, matches := matchPath(operation.path, r.URL.Path)
		if matches && operation.method == r.Method {
			return operation, id, nil
		}
		pathExists = pathExists || matches
	}
	if pathExists {
		return operation{}, "", refuse(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "%s is not allowed here.", r.Method)
	}
	return operation{}, "", refuse(http.StatusNotFound, "NOT_FOUND", "There is no such resource.")
}

// matchPath compares path with a pattern that may have one {id}, and returns what stands in its place.
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
	if operation.method == http.MethodPost {
		body, unreadable = io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	}
	s.answer(operation, id, r, body, unreadable).write(w)
}

// answer checks a request and executes it. One request is served at a time, so that two with the same idempotency key or
// the same reference cannot pass each other.
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
	if operation.method == http.MethodPost {
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
