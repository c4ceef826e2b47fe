package connectpsp_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// ending is how an answer leaves a server.
type ending int

const (
	whole  ending = iota
	cutOff        // only half of it, and the connection is closed; over HTTP/2 the stream is reset
	abort         // nothing of it, and the connection is closed; over HTTP/2 the stream is reset
	reset         // nothing of it, and the connection is reset, with all streams on it
	stale         // all of it, and soon after the connection is closed without a word
	goAway        // all of it, and it says that the connection will be closed; over HTTP/2 with GOAWAY
)

// socketFault is what becomes of one request that a server has read.
type socketFault struct {
	name     string
	weight   int
	executes bool
	late     bool // it is executed some time after the answer
	poor     bool // it is refused for want of funds
	status   int  // what is answered in place of the gateway's own answer, if not 0
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

// drawSocketFault draws one by weight with a number below the sum of all weights.
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

// connectionKey finds the connection of a request in its context.
type connectionKey struct{}

func connectionOf(r *http.Request) net.Conn { return r.Context().Value(connectionKey{}).(net.Conn) }

// send answers and ends the answer in the way given.
func (e ending) send(w http.ResponseWriter, r *http.Request, status int, body string) {
	switch e {
	case abort:
		panic(http.ErrAbortHandler)
	case reset:
		connection := connectionOf(r)
		if secured, ok := connection.(interface{ NetConn() net.Conn }); ok {
			connection = secured.NetConn()
		}
		_ = connection.(*net.TCPConn).SetLinger(0) // what is not sent is dropped, and a close sends RST
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
		_ = http.NewResponseController(w).Flush() // else nothing of it leaves
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, body)
	if e == stale {
		_ = http.NewResponseController(w).Flush()
		connection := connectionOf(r)
		// The next request may be on its way on this connection, in the server's hands, or answered half.
		time.AfterFunc(time.Duration(len(body)%4)*100*time.Microsecond, func() { _ = connection.Close() })
	}
}
