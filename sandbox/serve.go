package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// ServeHTTP serves a request to the gateway. It panics with [http.ErrAbortHandler] to cut a
// connection, as an [http.Server] allows.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	r.Body = replay{io.MultiReader(bytes.NewReader(body), after(err, r.Body)), r.Body}
	w.Header().Set("Date", s.Now().Format(http.TimeFormat))
	admitted := s.admit(r, body)
	defer func() { s.finish(admitted) }()
	if !s.sleep(r.Context(), admitted.latency) {
		panic(http.ErrAbortHandler)
	}
	answer := &answerWriter{ResponseWriter: w, admitted: admitted}
	if admitted.wait > 0 {
		tooManyRequests(admitted.wait).write(answer)
		return
	}
	s.serve(answer, r, admitted.failure)
}

// serve serves a request with its failure.
func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request, f failure) {
	page, executes := f.Fault.status()
	switch {
	case f.Code != "":
		refusalOf(refuse(f.Status, f.Code, "A test makes the sandbox refuse this request.")).write(w)
		return
	case f.Fault == 0:
		s.gateway.ServeHTTP(w, r)
		return
	case f.Fault == LoseRequest:
		panic(http.ErrAbortHandler)
	case f.Fault == Hang:
		s.hang(r.Context())
	case f.Fault == TooManyRequests:
		tooManyRequests(time.Second).write(w)
		return
	case page != 0 && !executes:
		writePage(w, page)
		return
	}
	recorded := recordedResponse{header: make(http.Header), status: http.StatusOK}
	s.gateway.ServeHTTP(&recorded, r)
	switch {
	case page != 0:
		writePage(w, page)
	case f.Fault == HangAfterExecution:
		s.hang(r.Context())
	case f.Fault == CutAnswer:
		recorded.send(w, recorded.body.Len()/2, recorded.body.Len())
		panic(http.ErrAbortHandler)
	case f.Fault == BrokenJSON:
		recorded.send(w, recorded.body.Len()/2, recorded.body.Len()/2)
	case f.Fault == OtherAnswer:
		recorded.mixUp()
		recorded.send(w, recorded.body.Len(), recorded.body.Len())
	default: // LoseAnswer
		panic(http.ErrAbortHandler)
	}
}

// hang waits until the client or the sandbox ends the connection, and cuts it.
func (s *Sandbox) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.closing:
	}
	panic(http.ErrAbortHandler)
}

// sleep waits, and reports false if the client or the sandbox ends the connection first.
func (s *Sandbox) sleep(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closing:
	}
	return false
}

// writePage writes the page of a proxy in front of the gateway.
func writePage(w http.ResponseWriter, status int) {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	if status == http.StatusServiceUnavailable {
		title = "503 Service Temporarily Unavailable"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if status/100 == 3 {
		w.Header().Set("Location", "/moved")
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<html><head><title>%s</title></head><body><h1>%s</h1></body></html>\n", title, title)
}

// replay is a body of which the beginning was read.
type replay struct {
	io.Reader
	io.Closer
}

// after returns a reader for the rest of a body: err, if that ended the reading.
func after(err error, rest io.Reader) io.Reader {
	if err != nil {
		return failedReader{err}
	}
	return rest
}

type failedReader struct{ err error }

func (r failedReader) Read([]byte) (int, error) { return 0, r.err }

// answerWriter records the status of the response, for Requests.
type answerWriter struct {
	http.ResponseWriter
	admitted *admitted
}

func (w *answerWriter) WriteHeader(status int) {
	w.admitted.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(data []byte) (int, error) {
	if w.admitted.status == 0 {
		w.admitted.status = http.StatusOK
	}
	return w.ResponseWriter.Write(data)
}

// Unwrap is for [http.ResponseController].
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// recordedResponse is an http.ResponseWriter that records the response.
type recordedResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recordedResponse) Header() http.Header { return r.header }

func (r *recordedResponse) WriteHeader(status int) { r.status = status }

func (r *recordedResponse) Write(data []byte) (int, error) { return r.body.Write(data) }

// send sends the first bytes of the body, with a Content-Length.
func (r *recordedResponse) send(w http.ResponseWriter, bytes, contentLength int) {
	maps.Copy(w.Header(), r.header)
	w.Header().Set("Content-Length", strconv.Itoa(contentLength))
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes()[:bytes])
	// Bytes that are not flushed are dropped when the connection is cut.
	_ = http.NewResponseController(w).Flush()
}

// mixUp replaces the ids and the reference of the body by those of a transaction that does not
// exist. A body without them stays as it is.
func (r *recordedResponse) mixUp() {
	var members map[string]json.RawMessage
	if json.Unmarshal(r.body.Bytes(), &members) != nil {
		return
	}
	for name, other := range map[string]string{
		"transactionId":      `"0a7e57a7-0000-4000-8000-000000000000"`,
		"internalCode":       `"OTHER00"`,
		"externalReference":  `"another-transaction"`,
		"endToEndId":         `"E99999999200001010000AnotherPay0"`,
		"originalEndToEndId": `"E99999999200001010000AnotherPay0"`,
	} {
		if _, present := members[name]; present {
			members[name] = json.RawMessage(other)
		}
	}
	body, err := json.Marshal(members)
	if err != nil {
		panic(errors.Join(errors.New("sandbox: a body that was decoded cannot be encoded"), err))
	}
	r.body.Reset()
	r.body.Write(body)
}
