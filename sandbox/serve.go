package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// ServeHTTP serves a request to the gateway. It panics with [http.ErrAbortHandler] to cut a
// connection, as an [http.Server] allows.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, body := readBody(r)
	w.Header().Set("Date", s.Now().Format(http.TimeFormat))
	admitted := s.admit(r, body)
	if !s.sleep(r.Context(), admitted.latency) {
		panic(http.ErrAbortHandler)
	}
	answer := &answerWriter{ResponseWriter: w, sandbox: s, admitted: admitted}
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

// readBody returns the body of a request, up to a byte more than the gateway accepts, and a copy of
// the request whose body can be read from the beginning.
func readBody(r *http.Request) (*http.Request, []byte) {
	body := r.Body
	if body == nil { // a client's request that was never sent
		body = http.NoBody
	}
	read, err := io.ReadAll(io.LimitReader(body, bodyLimit+1))
	replayed := r.WithContext(r.Context())
	replayed.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(read), after(err, body)), body}
	return replayed, read
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
