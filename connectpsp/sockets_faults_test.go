package connectpsp_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// ending is how a response leaves the server.
type ending int

const (
	whole  ending = iota
	cutOff        // only half of it, and the connection is closed; over HTTP/2 the stream is reset
	abort         // none of it, and the connection is closed; over HTTP/2 the stream is reset
	reset         // none of it, and the connection is reset, with all streams on it
	stale         // all of it, and the connection is closed soon after, without notice
	goAway        // all of it, with Connection: close, or GOAWAY over HTTP/2
)

// socketFault is a fault of the server after it has read a request.
type socketFault struct {
	name     string
	weight   int
	executes bool
	late     bool // it is executed some time after the response
	poor     bool // it is refused for insufficient funds
	status   int  // of the response in place of the gateway's own, if not 0
	body     string
	ending   ending
}

var socketFaults = []socketFault{
	{name: "no fault", weight: 24, executes: true},
	{name: "no funds", weight: 3, executes: true, poor: true},
	{name: "closed after reading", weight: 2, ending: abort},
	{name: "closed after executing", weight: 3, executes: true, ending: abort},
	{name: "closed, and executed later", weight: 2, late: true, ending: abort},
	{name: "reset before executing", weight: 1, ending: reset},
	{name: "reset after executing", weight: 2, executes: true, ending: reset},
	{name: "cut", weight: 2, executes: true, ending: cutOff},
	{name: "stale connection", weight: 4, executes: true, ending: stale},
	{name: "last of its connection", weight: 2, executes: true, ending: goAway},
	{name: "page before", weight: 1, status: 200, body: "<html>"},
	{name: "page after", weight: 1, executes: true, status: 200, body: "<html>"},
	{name: "bad gateway", weight: 1, status: 502, body: "<html>"},
	{name: "bad gateway after", weight: 1, executes: true, status: 502, body: "<html>"},
	{name: "500 before", weight: 1, status: 500},
	{name: "500 after", weight: 1, executes: true, status: 500},
	{name: "504 and still running", weight: 1, late: true, status: 504},
	{name: "503 and the connection ends", weight: 1, status: 503, ending: goAway},
	{name: "redirect", weight: 1, status: 307},
	{name: "redirect after", weight: 1, executes: true, status: 303},
	{name: "expired token", weight: 2, status: 401, body: `{"code":"TOKEN_EXPIRED"}`},
	{name: "signature", weight: 2, status: 422, body: `{"code":"INVALID_SIGNATURE"}`},
	{name: "rate limit", weight: 2, status: 429},
	{name: "key in use", weight: 1, late: true, status: 409, body: `{"code":"IDEMPOTENCY_KEY_IN_USE"}`},
}

// drawSocketFault draws a fault by weight with a number below the sum of all weights.
func drawSocketFault(draw func(n int) int) socketFault {
	sum := 0
	for _, fault := range socketFaults {
		sum += fault.weight
	}
	rest := draw(sum)
	for _, fault := range socketFaults {
		if rest -= fault.weight; rest < 0 {
			return fault
		}
	}
	panic("the weights do not add up")
}

// connectionKey is the key of the connection in the context of a request.
type connectionKey struct{}

func connectionOf(r *http.Request) net.Conn { return r.Context().Value(connectionKey{}).(net.Conn) }

// send sends a response and ends it as e says.
func (e ending) send(w http.ResponseWriter, r *http.Request, status int, body string) {
	switch e {
	case abort:
		panic(http.ErrAbortHandler)
	case reset:
		connection := connectionOf(r)
		if secured, ok := connection.(interface{ NetConn() net.Conn }); ok {
			connection = secured.NetConn()
		}
		_ = connection.(*net.TCPConn).SetLinger(0) // unsent data is dropped, and a close sends RST
		_ = connection.Close()
		panic(http.ErrAbortHandler)
	case goAway:
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if status/100 == 3 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
	if e == cutOff {
		_, _ = io.WriteString(w, body[:len(body)/2])
		_ = http.NewResponseController(w).Flush() // else none of it is sent
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, body)
	if e == stale {
		_ = http.NewResponseController(w).Flush()
		connection := connectionOf(r)
		// The next request may be under way on this connection, read by the server, or half
		// answered.
		time.AfterFunc(time.Duration(len(body)%4)*100*time.Microsecond, func() { _ = connection.Close() })
	}
}
