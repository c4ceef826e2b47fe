package gateway

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// Memory is a transport that responds at once, without a network. The zero value is ready.
type Memory struct {
	// CashIn is the body of the response to a charge. Nil stands for QRResponse.
	CashIn []byte
}

var (
	header   = http.Header{"Content-Type": {"application/json"}}
	anyToken = []byte(tokenResponse(0, 3600))
)

// RoundTrip reads the request to its end, as a network does, and responds.
func (m *Memory) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return nil, err
		}
		if err := request.Body.Close(); err != nil {
			return nil, err
		}
	}
	body, status := CashOutResponse, http.StatusCreated
	switch request.URL.Path {
	case "/auth/token":
		body, status = anyToken, http.StatusOK
	case "/cash-in":
		body = QRResponse
		if m.CashIn != nil {
			body = m.CashIn
		}
	}
	return respond(request, status, body), nil
}

// Token returns a response with a token of that life, in whole seconds.
func Token(request *http.Request, life time.Duration) *http.Response {
	return respond(request, http.StatusOK, []byte(tokenResponse(0, int(life/time.Second))))
}

func respond(request *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       request,
	}
}
