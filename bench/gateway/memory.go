package gateway

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// Memory is a transport that answers at once, without a network. The zero value is ready.
type Memory struct {
	// CashIn is the answer to a charge. Nil stands for QRAnswer.
	CashIn []byte
}

var (
	header   = http.Header{"Content-Type": {"application/json"}}
	anyToken = []byte(tokenAnswer(0, 3600))
)

// RoundTrip reads the request to its end, as a network does, and answers.
func (m *Memory) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return nil, err
		}
		if err := request.Body.Close(); err != nil {
			return nil, err
		}
	}
	answer, status := CashOutAnswer, http.StatusCreated
	switch request.URL.Path {
	case "/auth/token":
		answer, status = anyToken, http.StatusOK
	case "/cash-in":
		answer = QRAnswer
		if m.CashIn != nil {
			answer = m.CashIn
		}
	}
	return respond(request, status, answer), nil
}

// Token is the answer to a request for a token, that lives as long as it says.
func Token(request *http.Request, life time.Duration) *http.Response {
	return respond(request, http.StatusOK, []byte(tokenAnswer(0, int(life/time.Second))))
}

func respond(request *http.Request, status int, answer []byte) *http.Response {
	return &http.Response{
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(answer)),
		ContentLength: int64(len(answer)),
		Request:       request,
	}
}
