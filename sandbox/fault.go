package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
)

// Fault is something that goes wrong with a request on its way, see FailNext. The zero value is no
// fault: the request is served as usual.
type Fault int

const (
	// LoseRequest cuts the connection before anything is executed.
	LoseRequest Fault = iota + 1
	// LoseAnswer executes the request and cuts the connection without an answer.
	LoseAnswer
	// CutAnswer executes the request, sends the header with the full Content-Length and the first
	// half of the body, and cuts the connection.
	CutAnswer
	// Unavailable answers 503 with an HTML page, as a proxy in front of the gateway does, and
	// executes nothing.
	Unavailable
	// UnavailableAfterExecution executes the request and answers like Unavailable.
	UnavailableAfterExecution
)

const unavailablePage = "<html><head><title>503 Service Temporarily Unavailable</title></head>" +
	"<body><h1>503 Service Temporarily Unavailable</h1></body></html>\n"

// FailNext makes the next requests of an operation fail, one request for each fault, after those
// that earlier calls have asked for. Requests that would be refused, for a missing token for
// instance, count too. It panics if operationID is not an operationId of the API's description,
// such as "createCashOut".
//
// A cut connection can make net/http's own Transport send a request again, unseen by its caller: a
// GET, or a POST that carries an idempotency key and has a GetBody. That second request is one more
// request here.
func (s *Sandbox) FailNext(operationID string, faults ...Fault) {
	known := func(operation operation) bool { return operation.ID == operationID }
	if !slices.ContainsFunc(operations, known) {
		panic(fmt.Sprintf("sandbox: there is no operation %q", operationID))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operationID] = append(s.faults[operationID], faults...)
}

// ServeHTTP answers a request to the gateway. It panics with http.ErrAbortHandler to cut a
// connection; http.Server expects that.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.nextFault(r)
	switch fault {
	case LoseRequest:
		panic(http.ErrAbortHandler)
	case Unavailable:
		answerUnavailable(w)
		return
	case LoseAnswer, CutAnswer, UnavailableAfterExecution:
	default:
		s.gateway.ServeHTTP(w, r)
		return
	}
	held := heldAnswer{header: make(http.Header), status: http.StatusOK}
	s.gateway.ServeHTTP(&held, r)
	switch fault {
	case UnavailableAfterExecution:
		answerUnavailable(w)
	case CutAnswer:
		held.sendHalf(w)
		panic(http.ErrAbortHandler)
	default:
		panic(http.ErrAbortHandler)
	}
}

// nextFault takes the fault for a request out of the queue of its operation.
func (s *Sandbox) nextFault(r *http.Request) Fault {
	operation, _, err := route(r)
	if err != nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.faults[operation.ID]
	if len(queue) == 0 {
		return 0
	}
	s.faults[operation.ID] = queue[1:]
	return queue[0]
}

func answerUnavailable(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, unavailablePage)
}

// heldAnswer is an http.ResponseWriter that keeps the answer.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) Header() http.Header { return h.header }

func (h *heldAnswer) WriteHeader(status int) { h.status = status }

func (h *heldAnswer) Write(data []byte) (int, error) { return h.body.Write(data) }

func (h *heldAnswer) sendHalf(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(h.body.Len()))
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes()[:h.body.Len()/2])
	// What is not flushed is dropped when the connection is cut.
	_ = http.NewResponseController(w).Flush()
}
