package connectpsp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"
)

// fate is what becomes of one exchange on its way.
type fate struct {
	name    string
	unread  bool    // the transport fails before it has read the request
	dials   bool    // the transport reads the request only after the caller has gone
	arrives arrival // when the request reaches the gateway
	how     mode    // what the gateway does with it
	twice   bool    // the transport sends it twice, and one answer is heard
	proxied bool    // somebody on the way sends it twice, if the gateway would not refuse the second for want of funds
	revokes bool    // its token is not valid any more when it arrives
	own     bool    // the gateway's own answer comes through
	half    bool    // but only half of it
	slow    bool    // and it takes its time
	quits   bool    // the caller's context ends meanwhile
	crashes bool    // the process dies meanwhile
	answer  answerModel
}

type arrival int

const (
	never arrival = iota
	now
	late
)

func page(status int) answerModel {
	return answerModel{status: status, page: true, body: "<html><body>proxy</body></html>"}
}

func after(seconds string, a answerModel) answerModel {
	a.retryAfter = seconds
	return a
}

// fates lists all that may happen to an exchange. The first is the one in which nothing does, and
// those in which the process dies are the last.
var fates = []fate{
	{name: "no fault", arrives: now, own: true},
	{name: "no connection", unread: true},
	{name: "lost request"},
	{name: "lost answer", arrives: now},
	{name: "lost answer, still running", arrives: now, how: takesLong},
	{name: "late arrival", arrives: late},
	{name: "cut answer", arrives: now, own: true, half: true},
	{name: "500 before", arrives: now, own: true, how: failsBefore},
	{name: "500 after", arrives: now, own: true, how: failsAfter},
	{name: "504, still running", arrives: now, own: true, how: takesLong},
	{name: "key in use while running", arrives: late, answer: keyInUse},
	{name: "hidden replay", arrives: now, own: true, twice: true},
	{name: "hidden replay, the first late", arrives: late, own: true, twice: true},
	{name: "hidden replay, the second refused", arrives: now, twice: true, answer: problemAnswer(401, "INVALID_APPLICATION_TOKEN")},
	{name: "replay by a proxy", arrives: now, own: true, proxied: true},
	{name: "page 200", answer: page(200)},
	{name: "page 200 after", arrives: now, answer: page(200)},
	{name: "page 502", answer: page(502)},
	{name: "page 502, late arrival", arrives: late, answer: page(502)},
	{name: "page 403", answer: page(403)},
	{name: "page 403 after", arrives: now, answer: page(403)},
	{name: "422 that breaks off, after", arrives: now, answer: answerModel{status: 422, body: `{"title":"A title","status":422,"code":"DUPLIC`}},
	{name: "redirect 303 after", arrives: now, answer: page(303)},
	{name: "redirect 307", answer: page(307)},
	{name: "401 TOKEN_EXPIRED", answer: tokenExpired},
	{name: "401 INVALID_APPLICATION_TOKEN", answer: problemAnswer(401, "INVALID_APPLICATION_TOKEN")},
	{name: "token revoked", arrives: now, own: true, revokes: true},
	{name: "422 INVALID_SIGNATURE", answer: problemAnswer(422, "INVALID_SIGNATURE")},
	{name: "429", answer: problemAnswer(429, "RATE_LIMITED")},
	{name: "429 with Retry-After", answer: after("4", page(429))},
	{name: "429 with a long Retry-After", answer: after("60", problemAnswer(429, "RATE_LIMITED"))},
	{name: "408", answer: page(408)},
	{name: "408, late arrival", arrives: late, answer: page(408)},
	{name: "499 after", arrives: now, answer: page(499)},
	{name: "503 with Retry-After", answer: after("2", page(503))},
	{name: "answer about another payment", answer: another(202)},
	{name: "slow answer", arrives: now, own: true, slow: true},
	{name: "slow connection", dials: true},
	{name: "caller gone, request arrived", arrives: now, quits: true},
	{name: "caller gone, late arrival", arrives: late, quits: true},
	{name: "caller gone while connecting", dials: true, quits: true},
	{name: "crash before sending", unread: true, crashes: true},
	{name: "crash after arrival", arrives: now, crashes: true},
	{name: "crash, late arrival", arrives: late, crashes: true},
}

// fatesOfTheLiving is how many of them a process survives.
const fatesOfTheLiving = 41

// message is a request as the gateway sees it.
type message struct {
	number            int // grows with every request
	method, path, key string
	reference, amount string
	token             int
	body              string
	refund            bool
}

// chargeOf returns the transaction id of the charge that an id names.
func chargeOf(id string) string {
	if hidden, found := strings.CutPrefix(id, endToEndPrefix); found {
		id = strings.Replace(strings.TrimSuffix(hidden, "ABC"), "x", "-", 1)
	}
	return strings.TrimSuffix(id, "C")
}

const endToEndPrefix = "E13935893202603101827"

// codeOf and endToEndOf return the other two ids of a charge.
func codeOf(id string) string { return id + "C" }

func endToEndOf(id string) string { return endToEndPrefix + strings.Replace(id, "-", "x", 1) + "ABC" }

func (m message) String() string {
	if m.reference == "" {
		return fmt.Sprintf("%s %s (%d)", m.method, m.path, m.number)
	}
	return fmt.Sprintf("%s (%d, key %.4s)", m.reference, m.number, m.key)
}

// read takes the request of a step from the transport, as one that writes it to a connection does.
// It fails if the client has shut it.
func (w *world) read(s *step) (message, bool) {
	r := s.request
	m := message{method: r.Method, path: r.URL.Path, key: r.Header.Get("X-Idempotency-Key"), number: w.number()}
	wroteHeaders(r)
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return m, false
		}
		m.body = string(body)
	}
	m.reference, _, _ = strings.Cut(afterText(m.body, `"externalReference":"`), `"`)
	if id, refund := strings.CutSuffix(strings.TrimPrefix(m.path, "/cash-in/"), "/refund"); refund {
		m.reference, m.refund = chargeOf(id), true
	}
	m.amount, _, _ = strings.Cut(afterText(m.body, `"amount":`), `,`)
	m.token, _ = strconv.Atoi(afterText(r.Header.Get("Authorization"), "Bearer header.payload."))
	if m.key != "" {
		w.judge.sent(m)
	}
	return m, true
}

func afterText(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	return rest
}

// wroteHeaders tells the client what net/http would tell it.
func wroteHeaders(r *http.Request) {
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
}

// drawFate decides what becomes of an exchange.
func (w *world) drawFate() *fate {
	if w.rules.fate != nil {
		return &fates[w.rules.fate()]
	}
	n := fatesOfTheLiving
	if w.rules.crashes > 0 {
		n = len(fates)
	}
	return &fates[w.choices.choose(n, w.rules.faults)]
}

// longestWay is how late a request may arrive.
func (w *world) longestWay() time.Duration {
	if w.gateway.ignoresReferences {
		return time.Minute // the time for which its keys live leaves room for no more
	}
	return 15 * time.Minute
}

// carry takes one exchange to its end, or as far as it comes.
func (w *world) carry(s *step) {
	f := w.drawFate()
	w.figures.add("fault", f.name)
	if w.tracing {
		w.note("%s: %s", w.nameOf(s), f.name)
	}
	s.carried = true
	switch {
	case f.unread:
		w.leave(s, f, answerModel{})
		return
	case f.dials:
		w.later(50*time.Second, func() {
			if m, open := w.read(s); open {
				w.gateway.receive(m, prompt)
			}
		})
		w.leave(s, f, answerModel{})
		return
	}
	m, open := w.read(s)
	if !open {
		w.answer(s, wireReply{err: errBroken})
		return
	}
	if f.revokes {
		w.gateway.revoked = max(w.gateway.revoked, m.token)
	}
	var own answerModel
	if f.arrives == now {
		own = w.gateway.receive(m, f.how)
	}
	if f.arrives == late {
		w.later(w.drawDelay(w.longestWay()), func() { w.gateway.receive(m, f.how) })
	}
	if f.twice {
		wroteHeaders(s.request)
		own = w.gateway.receive(m, f.how)
	}
	if f.proxied && w.gateway.funds == plenty {
		own = w.gateway.receive(m, f.how)
	}
	if f.own {
		w.leave(s, f, own)
	} else {
		w.leave(s, f, f.answer)
	}
}

// leave gives the answer of an exchange to whoever waits for it, or takes him away. No answer at
// all is a broken connection.
func (w *world) leave(s *step, f *fate, a answerModel) {
	switch {
	case f.crashes:
		w.crash()
	case f.quits && s.run != nil:
		s.run.cancel()
	case f.dials:
		// Whoever waits for it does so until he has no time left.
	case f.slow:
		waits := [...]time.Duration{31 * time.Second, 29 * time.Second, 10 * time.Second}
		w.later(waits[w.choices.choose(len(waits), 60)], func() { w.answer(s, responseOf(a, f.half)) })
	case a.status == 0:
		w.answer(s, wireReply{err: errBroken})
	default:
		w.answer(s, responseOf(a, f.half))
	}
}

func responseOf(a answerModel, half bool) wireReply {
	header := http.Header{}
	if a.retryAfter != "" {
		header.Set("Retry-After", a.retryAfter)
	}
	return wireReply{response: &http.Response{StatusCode: a.status, Header: header, Body: bodyOf(a.body, half), ContentLength: -1}}
}

func (w *world) nameOf(s *step) string {
	name := "request for a token"
	if s.run != nil {
		name = s.run.String()
	}
	if s.request != nil && s.request.Method == http.MethodGet {
		name += " reads"
	}
	return name
}
