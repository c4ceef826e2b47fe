package gateway

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Settings are those of a gateway in a process of its own.
type Settings struct {
	Service time.Duration // how long it takes for a payment
	Life    time.Duration // of a token, in whole seconds; zero is an hour
	Issue   time.Duration // how long it takes to issue a token, but for the first
}

// Counts are those of a gateway in a process of its own.
type Counts struct {
	Opened  int         // connections opened
	Waiting int         // payments that were read and wait for a response
	Issued  []time.Time // when each request for a token arrived
}

// server is a gateway on a socket. A payment that arrives while it is held waits until it is
// released.
type server struct {
	settings        Settings
	opened, waiting atomic.Int64

	mu     sync.Mutex
	issued []time.Time
	gate   chan struct{} // closed while payments are accepted
}

func newServer(settings Settings) *server {
	s := &server{settings: settings, gate: make(chan struct{})}
	close(s.gate)
	return s
}

// payments serves the requests of a client.
func (s *server) payments() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/token", s.token)
	mux.HandleFunc("POST /cash-out", s.payment(CashOutResponse))
	mux.HandleFunc("POST /cash-in", s.payment(QRResponse))
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: time.Minute,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.opened.Add(1)
			}
		},
	}
}

// control serves the requests of a benchmark, on another address, so that they are not counted.
func (s *server) control() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(Counts{Opened: int(s.opened.Load()), Waiting: int(s.waiting.Load()), Issued: s.issued})
	})
	mux.HandleFunc("POST /hold", func(http.ResponseWriter, *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.gate = make(chan struct{})
	})
	mux.HandleFunc("POST /release", func(http.ResponseWriter, *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.gate)
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	s.issued = append(s.issued, time.Now())
	number := len(s.issued)
	s.mu.Unlock()
	if number > 1 {
		time.Sleep(s.settings.Issue)
	}
	life := time.Hour
	if s.settings.Life > 0 {
		life = s.settings.Life
	}
	write(w, http.StatusOK, []byte(tokenResponse(number, int(life/time.Second))))
}

// payment responds with text, which states how long the payment took.
func (s *server) payment(text []byte) http.HandlerFunc {
	before, after := split(text)
	return func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		_, _ = io.Copy(io.Discard, r.Body)
		s.mu.Lock()
		gate := s.gate
		s.mu.Unlock()
		s.waiting.Add(1)
		<-gate
		s.waiting.Add(-1)
		if s.settings.Service > 0 {
			time.Sleep(s.settings.Service)
		}
		body := make([]byte, 0, len(text))
		body = append(body, before...)
		body = append(body, code(int64(time.Since(begun)))...)
		write(w, http.StatusCreated, append(body, after...))
	}
}

// split returns the parts of a response before and after its code.
func split(text []byte) (before, after []byte) {
	mark := code(0)
	for i := range text {
		if string(text[i:min(i+len(mark), len(text))]) == mark {
			return text[:i], text[i+len(mark):]
		}
	}
	panic("gateway: a response without a code")
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Took returns how long the gateway took, from the internalCode of its response.
func Took(internalCode string) time.Duration {
	if internalCode == "" {
		return 0
	}
	nanoseconds, _ := strconv.ParseInt(internalCode[1:], 10, 64)
	return time.Duration(nanoseconds)
}
