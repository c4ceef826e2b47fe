package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
)

// answerWriter records the status of the response, for [Sandbox.Requests], before it sends it.
type answerWriter struct {
	http.ResponseWriter
	sandbox  *Sandbox
	admitted *admitted
	recorded bool
}

func (w *answerWriter) WriteHeader(status int) {
	w.record(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(data []byte) (int, error) {
	w.record(http.StatusOK)
	return w.ResponseWriter.Write(data)
}

func (w *answerWriter) record(status int) {
	if !w.recorded {
		w.recorded = true
		w.sandbox.mu.Lock()
		defer w.sandbox.mu.Unlock()
		w.admitted.request.StatusCode = status
	}
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
