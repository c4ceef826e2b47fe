package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
)

// Fault is a failure between client and gateway, see [Sandbox.FailNext]. The zero value is no
// fault: the request is served as usual.
type Fault int

const (
	// LoseRequest cuts the connection before the request is executed.
	LoseRequest Fault = iota + 1
	// LoseAnswer executes the request and cuts the connection without a response.
	LoseAnswer
	// CutAnswer executes the request, sends the header with the full Content-Length and the first
	// half of the body, and cuts the connection.
	CutAnswer
	// Unavailable responds 503 with an HTML page, as a proxy in front of the gateway does, and
	// executes nothing.
	Unavailable
	// UnavailableAfterExecution executes the request and responds like [Unavailable].
	UnavailableAfterExecution
)

const unavailablePage = "<html><head><title>503 Service Temporarily Unavailable</title></head>" +
	"<body><h1>503 Service Temporarily Unavailable</h1></body></html>\n"

// FailNext makes the next requests of an operation fail, one request for each fault. The faults
// queue up behind those of earlier calls. Requests that would be refused, for a missing token for
// example, count too. FailNext panics if operationID is not an operationId of the API's
// description, such as "createCashOut".
//
// After a cut connection the [http.Transport] may send a request again by itself, unseen by its
// caller: a GET, or a POST that has an idempotency key and a GetBody. The sandbox counts that as
// another request.
func (s *Sandbox) FailNext(operationID string, faults ...Fault) {
	known := func(op operation) bool { return op.ID == operationID }
	if !slices.ContainsFunc(operations, known) {
		panic(fmt.Sprintf("sandbox: there is no operation %q", operationID))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operationID] = append(s.faults[operationID], faults...)
}

// ServeHTTP serves a request to the gateway. It panics with [http.ErrAbortHandler] to cut a
// connection, as an [http.Server] allows.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.nextFault(r)
	switch fault {
	case LoseRequest:
		panic(http.ErrAbortHandler)
	case Unavailable:
		respondUnavailable(w)
		return
	case LoseAnswer, CutAnswer, UnavailableAfterExecution:
	default:
		s.gateway.ServeHTTP(w, r)
		return
	}
	recorded := recordedResponse{header: make(http.Header), status: http.StatusOK}
	s.gateway.ServeHTTP(&recorded, r)
	switch fault {
	case UnavailableAfterExecution:
		respondUnavailable(w)
	case CutAnswer:
		recorded.sendHalf(w)
		panic(http.ErrAbortHandler)
	default:
		panic(http.ErrAbortHandler)
	}
}

// nextFault removes the first fault from the queue of the request's operation.
func (s *Sandbox) nextFault(r *http.Request) Fault {
	op, _, err := route(r)
	if err != nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.faults[op.ID]
	if len(queue) == 0 {
		return 0
	}
	s.faults[op.ID] = queue[1:]
	return queue[0]
}

func respondUnavailable(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, unavailablePage)
}

// recordedResponse is an http.ResponseWriter that records the response.
type recordedResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recordedResponse) Header() http.Header { return r.header }

func (r *recordedResponse) WriteHeader(status int) { r.status = status }

func (r *recordedResponse) Write(data []byte) (int, error) { return r.body.Write(data) }

func (r *recordedResponse) sendHalf(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(r.body.Len()))
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes()[:r.body.Len()/2])
	// Bytes that are not flushed are dropped when the connection is cut.
	_ = http.NewResponseController(w).Flush()
}
